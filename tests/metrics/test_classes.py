"""A classifier's figures beyond its headline: calibration, areas, gaps, what to look at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from mlops.drawing.example_choice import answer_examples
from mlops.metrics.class_metrics import SplitGap, as_metrics, calibration, class_figures
from mlops.metrics.samples.sample_tables import ClassTable

CLASSES = ("mono", "neutro", "blast")


def answers(count: int = 600, seed: int = 0, sure: float = 3.0) -> ClassTable:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(CLASSES), count)
    logits = rng.normal(0, 1, (count, len(CLASSES)))
    logits[np.arange(count), truth] += 1.2
    given = np.exp(sure * logits)
    given = (given / given.sum(1, keepdims=True)).astype(np.float32)
    names = np.array([f"{index}.png" for index in range(count)])
    return ClassTable(names, np.array(["lab"] * count), truth, given, CLASSES)


@pytest.mark.parametrize(("sure", "norm"), [(0.5, "l1"), (3.0, "l1"), (3.0, "max")])
def test_calibration_error_is_torchmetrics(sure: float, norm: str) -> None:
    held = answers(sure=sure)
    theirs = multiclass_calibration_error(
        torch.from_numpy(held.probabilities),
        torch.from_numpy(held.truth),
        num_classes=3,
        n_bins=15,
        norm=norm,  # type: ignore[arg-type]
    )
    ours = calibration(held.truth, held.probabilities)
    assert (ours.ece if norm == "l1" else ours.worst) == pytest.approx(float(theirs), abs=1e-5)
    assert ours.count.sum() == len(held.truth)


def test_areas_are_scikit_learns_one_against_the_rest() -> None:
    held = answers()
    found = as_metrics(class_figures(held))
    mean = roc_auc_score(held.truth, held.probabilities, multi_class="ovr", average="macro")
    assert found["macro_auc"] == pytest.approx(mean)
    assert np.mean([found[f"AUC/{name}"] for name in CLASSES]) == pytest.approx(mean)


def test_a_gap_leaves_out_what_training_did_not_track() -> None:
    assert SplitGap("accuracy", 0.99, 0.96, 0.95).between() == pytest.approx(
        {"train-val": 0.03, "val-test": 0.01, "train-test": 0.04}
    )
    assert SplitGap("accuracy", None, 0.96, 0.95).between() == pytest.approx({"val-test": 0.01})


def test_the_surest_wrong_answers_come_first_and_right_ones_of_every_class() -> None:
    held = answers()
    examples = answer_examples(held, 6)
    wrong = [each for each in examples if each.kind == "wrong"]
    right = [each for each in examples if each.kind == "right"]
    all_wrong = held.probabilities.max(1)[held.predicted != held.truth]
    assert [each.score for each in wrong] == pytest.approx(sorted(all_wrong.tolist(), reverse=True)[:6])
    assert all(each.truth != each.predicted for each in wrong)
    assert sorted(each.truth for each in right) == sorted([*CLASSES] * 2)
    assert answer_examples(held, 6) == examples
