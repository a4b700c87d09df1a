"""Comparing two models on the same pictures."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.samples.matching import count_at, detections_of
from mlops.metrics.statistics.paired import pair_classifiers, pair_detectors, paired_bootstrap, verdict_of

Labels = NDArray[np.int64]


def _answers(count: int, classes: int, right: float, seed: int) -> tuple[Labels, Labels]:
    """Truths, and answers of which about `right` are so."""
    truth = np.random.default_rng(7).integers(0, classes, count)
    rng = np.random.default_rng(seed)
    other = rng.integers(0, classes, count)
    return truth, np.where(rng.random(count) < right, truth, other)


def test_the_interval_is_that_of_scipys_paired_bootstrap() -> None:
    from scipy.stats import bootstrap

    truth, good = _answers(400, 4, 0.9, 1)
    _, fair = _answers(400, 4, 0.85, 2)
    ours = paired_bootstrap(pair_classifiers(truth, good, fair), draws=4000, seed=3)

    def difference(t: Labels, a: Labels, b: Labels) -> float:
        return float(f1_score(t, a, average="macro") - f1_score(t, b, average="macro"))

    theirs = bootstrap(
        (truth, good, fair),
        difference,
        paired=True,
        vectorized=False,
        n_resamples=1500,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert ours.difference == pytest.approx(difference(truth, good, fair), abs=1e-12)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.006)


def test_macro_f1_of_a_draw_is_scikit_learns() -> None:
    truth, answer = _answers(60, 6, 0.6, 1)
    pairing = pair_classifiers(truth, answer, truth)
    weights = np.random.default_rng(0).multinomial(60, pairing.counts / 60, size=20)
    cells = np.unique(np.stack([truth, answer, truth], 1), axis=0)
    for row, ours in zip(weights, pairing.candidate(weights), strict=True):
        drawn = np.repeat(cells, row, axis=0)
        assert ours == pytest.approx(f1_score(drawn[:, 0], drawn[:, 1], average="macro"), abs=1e-12)


def test_five_thousand_pictures_and_two_thousand_draws_take_seconds() -> None:
    truth, a = _answers(5000, 8, 0.97, 1)
    _, b = _answers(5000, 8, 0.96, 2)
    started = time.perf_counter()
    found = paired_bootstrap(pair_classifiers(truth, a, b), draws=2000)
    assert time.perf_counter() - started < 5
    assert found.samples == 5000


def test_the_same_seed_gives_the_same_interval() -> None:
    truth, a = _answers(300, 3, 0.9, 1)
    _, b = _answers(300, 3, 0.9, 2)
    pairing = pair_classifiers(truth, a, b, "accuracy")
    assert paired_bootstrap(pairing, seed=5) == paired_bootstrap(pairing, seed=5)


def test_a_model_is_not_worse_than_itself() -> None:
    truth, a = _answers(200, 3, 0.8, 1)
    found = paired_bootstrap(pair_classifiers(truth, a, a))
    assert (found.difference, found.low, found.high, found.verdict) == (0, 0, 0, "not worse")


@pytest.mark.parametrize(("right", "verdict"), [(0.99, "better"), (0.6, "worse")])
def test_a_clear_difference_has_its_verdict(right: float, verdict: str) -> None:
    truth, a = _answers(800, 4, right, 1)
    _, b = _answers(800, 4, 0.85, 2)
    assert paired_bootstrap(pair_classifiers(truth, a, b), margin=0.01).verdict == verdict


def test_few_pictures_do_not_distinguish_what_is_close() -> None:
    truth, a = _answers(60, 3, 0.8, 1)
    _, b = _answers(60, 3, 0.8, 2)
    assert paired_bootstrap(pair_classifiers(truth, a, b), margin=0.001).verdict == "not distinguishable"


def test_the_margin_makes_a_small_loss_not_worse() -> None:
    assert verdict_of(-0.004, 0.01, 0.005) == "not worse"
    assert verdict_of(-0.004, 0.01, 0.0) == "not distinguishable"


def test_nothing_to_compare_on_is_told() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="no samples"):
        paired_bootstrap(pair_classifiers(none, none, none))


def _boxes(rows: list[tuple[str, int, float | None, tuple[int, int, int, int], bool]]) -> Boxes:
    """(picture, class, score or None for a truth, corners, matched)."""
    return Boxes(
        image=np.array([row[0] for row in rows]),
        truth=np.array([row[2] is None for row in rows]),
        class_index=np.array([row[1] for row in rows]),
        score=np.array([np.nan if row[2] is None else row[2] for row in rows]),
        corners=np.array([row[3] for row in rows], np.float64).reshape(-1, 4),
        matched=np.array([row[4] for row in rows]),
    )


SQUARE, FAR = (0, 0, 10, 10), (50, 50, 60, 60)


def test_recall_at_a_threshold_counts_each_object_once() -> None:
    boxes = _boxes(
        [
            ("a", 0, None, SQUARE, False),
            ("a", 0, 0.9, SQUARE, True),
            ("a", 0, 0.8, SQUARE, False),  # the same object again
            ("b", 0, None, SQUARE, False),
            ("b", 0, 0.3, SQUARE, True),  # not sure enough
            ("c", 0, None, SQUARE, False),
            ("c", 1, 0.9, SQUARE, False),  # the wrong class
        ]
    )
    assert count_at(detections_of(boxes), 0.5).recall == pytest.approx(1 / 3)
    assert count_at(detections_of(boxes), 0.2).recall == pytest.approx(2 / 3)


def test_patch_f2_weighs_a_missed_patch_four_times_a_false_one() -> None:
    hit = [("a", 0, None, SQUARE, False), ("a", 0, 0.9, FAR, False)]
    missed = [("b", 0, None, SQUARE, False)]
    false = [("c", 0, 0.9, SQUARE, False)]
    assert count_at(detections_of(_boxes([*hit, *missed])), 0.5).patch_f2 == pytest.approx(5 / 9)
    assert count_at(detections_of(_boxes([*hit, *false])), 0.5).patch_f2 == pytest.approx(5 / 6)


def test_map50_is_the_mean_precision_at_101_recalls() -> None:
    boxes = _boxes(
        [
            ("a", 0, None, SQUARE, False),
            ("b", 0, None, SQUARE, False),
            ("a", 0, 0.9, SQUARE, True),
            ("a", 0, 0.8, FAR, False),
            ("b", 0, 0.7, SQUARE, True),
        ]
    )
    pairing = pair_detectors(boxes, boxes, "mAP50")
    # precision 1 up to recall 0.50 (51 of the recalls), then 2/3
    assert pairing.candidate(np.ones((1, 2), np.int64))[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    # only picture b, twice: its box stands first, both objects are found
    assert pairing.candidate(np.array([[0, 2]]))[0] == pytest.approx(1.0)


@pytest.mark.parametrize("figure", ["mAP50", "mAP50-95", "recall@0.5", "patch_F2@0.5"])
def test_a_detector_that_finds_more_is_better(figure: str) -> None:
    names = [f"{number:03d}" for number in range(120)]
    truths = [(name, 0, None, SQUARE, False) for name in names]
    few = _boxes([*truths, *[(name, 0, 0.9, SQUARE, True) for name in names[:50]]])
    most = _boxes([*truths, *[(name, 0, 0.9, SQUARE, True) for name in names[:100]]])
    assert paired_bootstrap(pair_detectors(most, few, figure), draws=500).verdict == "better"
    assert paired_bootstrap(pair_detectors(few, most, figure), draws=500).verdict == "worse"


def test_an_unknown_figure_is_told() -> None:
    boxes = _boxes([("a", 0, None, SQUARE, False)])
    with pytest.raises(ValueError, match="mAP50-95, recall@T"):
        pair_detectors(boxes, boxes, "mAP75")
