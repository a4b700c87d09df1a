"""A classifier's figures, held against scikit-learn and against numbers worked out by hand."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score, roc_auc_score

from mlops.drawing.plots import _at_thresholds, draw_classifier
from mlops.metrics.class_metrics import headline, held_out, per_source

CLASSES = ("a", "b", "c")


def indices(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


@pytest.fixture
def predictions() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Truth (200,) and probabilities (200, 3) that are right more often than not."""
    rng = np.random.default_rng(2)
    truth = rng.choice(3, 200, p=[0.6, 0.3, 0.1]).astype(np.int64)
    scores = rng.normal(size=(200, 3))
    scores[np.arange(200), truth] += 1.2
    given = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return truth, given.astype(np.float32)


def test_headline_by_hand() -> None:
    truth, predicted = indices(0, 0, 0, 1, 1, 2), indices(0, 0, 1, 1, 2, 2)
    f1 = {"F1/a": 2 * 1 * (2 / 3) / (1 + 2 / 3), "F1/b": 0.5, "F1/c": 2 * 0.5 * 1 / 1.5}
    scores = headline(truth, predicted, CLASSES, per_class=True)
    assert scores == pytest.approx({"accuracy": 4 / 6, "macro_f1": sum(f1.values()) / 3, **f1})
    assert set(headline(truth, predicted, CLASSES)) == {"accuracy", "macro_f1"}


def test_a_class_without_pictures_has_no_f1_and_does_not_lower_the_mean() -> None:
    scores = headline(indices(0, 0, 2), indices(0, 0, 2), CLASSES, per_class=True)
    assert scores == {"accuracy": 1.0, "macro_f1": 1.0, "F1/a": 1.0, "F1/c": 1.0}


def test_a_class_without_pictures_that_is_predicted_lowers_the_mean() -> None:
    scores = headline(indices(0, 0, 0, 0), indices(0, 0, 0, 1), CLASSES, per_class=True)
    assert scores == pytest.approx({"accuracy": 0.75, "macro_f1": 3 / 7, "F1/a": 6 / 7})


def test_sources_are_scored_apart_where_there_are_two() -> None:
    truth, predicted = indices(0, 1, 0, 1), indices(0, 1, 1, 0)
    assert per_source(truth, predicted, ("x", "x", "y", "y")) == {"macro_f1/x": 1.0, "macro_f1/y": 0.0}
    assert per_source(truth, predicted, ("x",) * 4) == {}
    assert per_source(truth, predicted, ()) == {}


def test_held_out_figures_are_scikit_learns(
    predictions: tuple[NDArray[np.int64], NDArray[np.float32]],
) -> None:
    truth, given = predictions
    said = given.argmax(1)
    sources = tuple("x" if i < 120 else "y" for i in range(200))
    expected = {
        "loss": log_loss(truth, given),
        "accuracy": accuracy_score(truth, said),
        "macro_f1": f1_score(truth, said, average="macro"),
        "macro_precision": precision_score(truth, said, average="macro"),
        "macro_recall": recall_score(truth, said, average="macro"),
        "macro_auc": roc_auc_score(truth, given, multi_class="ovr", average="macro"),
        "macro_f1/x": f1_score(truth[:120], said[:120], average="macro"),
        "macro_f1/y": f1_score(truth[120:], said[120:], average="macro"),
    }
    for name, score in (("F1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        values = score(truth, said, average=None)
        expected |= {f"{name}/{c}": value for c, value in zip(CLASSES, values, strict=True)}
    assert held_out(truth, given, CLASSES, sources) == pytest.approx(expected, abs=1e-6)


def test_one_class_alone_has_every_figure_but_an_area() -> None:
    given = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], np.float32)
    scores = held_out(indices(0, 0), given, CLASSES)
    assert "macro_auc" not in scores
    assert scores["loss"] == pytest.approx((log(2) + log(4)) / 2)
    assert scores["recall/a"] == scores["macro_recall"] == 0.5
    assert scores["precision/a"] == scores["macro_precision"] == 1.0
    assert not [name for name in scores if name.endswith(("/b", "/c"))]


def test_a_certain_mistake_costs_much_and_is_no_infinity() -> None:
    scores = held_out(indices(1), np.array([[1.0, 0.0, 0.0]], np.float32), CLASSES)
    assert scores["loss"] == pytest.approx(-log(1e-12))


def test_thresholds_by_hand() -> None:
    positive = np.array([True, True, False, False])
    score = np.array([0.9, 0.4, 0.6, 0.1], np.float32)
    precision, recall = _at_thresholds(positive, score, np.array([0.0, 0.3, 0.5, 0.7, 0.95]))
    assert precision.tolist() == pytest.approx([1 / 2, 2 / 3, 1 / 2, 1, 1])
    assert recall.tolist() == [1, 1, 0.5, 0.5, 0]


@pytest.mark.parametrize("classes", [2, 3, 25], ids=["two", "three", "more than a legend holds"])
def test_every_figure_is_a_picture(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes - 1, 60).astype(np.int64)  # the last class has none
    given = rng.dirichlet(np.ones(classes), 60).astype(np.float32)
    files = draw_classifier(truth, given, [f"class {i}" for i in range(classes)], tmp_path / "figures")
    assert {file.name for file in files} == {
        "F1_curve.png",
        "PR_curve.png",
        "P_curve.png",
        "R_curve.png",
        "confusion_matrix.png",
        "confusion_matrix_normalized.png",
    }
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 200
