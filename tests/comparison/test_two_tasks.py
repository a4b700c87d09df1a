"""A network that finds boxes and classifies the picture, beside those that do one of the two."""

from __future__ import annotations

import numpy as np
import pytest

from mlops.comparison.candidate import BoxAnswers, ClassAnswers, MeasuredOn, Side
from mlops.comparison.compare import ComparisonRequest, compare_sides
from mlops.errors import NotComparable
from mlops.metrics.samples.matching import detections_of
from mlops.metrics.statistics.metric_differences import ComparisonSettings
from tests.comparison.trainings import answers
from tests.metrics.box_tables import CLASSES, made_boxes

REQUEST = ComparisonRequest(named=(), settings=ComparisonSettings(draws=200))


def _side(name: str, *, boxes: float | None = None, right: float | None = None, folder: str = "test") -> Side:
    """boxes: how far off its boxes are, in pixels; right: the share of pictures that it classifies so."""
    found = None
    if boxes is not None:
        detections = detections_of(made_boxes(1, 40, shift=boxes))
        named = np.array([f"{folder}/{picture}" for picture in detections.pictures.tolist()])
        found = BoxAnswers(detections.named(named, np.sort(named)), dict(enumerate(CLASSES)), 40)
    classified = None
    if right is not None:
        table = answers(right, 1)
        classified = ClassAnswers(table.image, table.truth, table.predicted, CLASSES)
    return Side(
        name, name, "joint", name, "0", "d", 100, MeasuredOn("data", "d", "test"), CLASSES, found, classified
    )


def test_each_is_compared_on_what_it_does() -> None:
    joint = _side("joint", boxes=2.0, right=0.9)
    found = compare_sides([joint, _side("boxes alone", boxes=0.2), _side("class alone", right=0.7)], REQUEST)
    boxes, classes = found.candidates
    assert {each.figure for each in boxes.figures} == {"mAP50-95", "mAP50", "precision", "recall", "F1"}
    assert {each.figure for each in classes.figures} == {"macro_f1", "accuracy"}
    assert found.primary == "mAP50-95"
    assert found.recommendation.choice == "boxes alone"
    assert {each.figure: each.verdict for each in classes.figures}["accuracy"] == "worse"


def test_two_of_both_tasks_are_compared_on_all() -> None:
    found = compare_sides([_side("a", boxes=2.0, right=0.9), _side("b", boxes=2.0, right=0.7)], REQUEST)
    (against,) = found.candidates
    assert {each.figure for each in against.figures} >= {"mAP50-95", "macro_f1"}
    assert "But macro_f1 is worse" in " ".join(
        compare_sides(
            [_side("a", boxes=4.0, right=0.9), _side("b", boxes=0.2, right=0.7)], REQUEST
        ).recommendation.says
    )


def test_one_that_shares_no_task_with_the_baseline_is_refused() -> None:
    with pytest.raises(NotComparable, match="no task in common"):
        compare_sides([_side("boxes", boxes=1.0), _side("class", right=0.9)], REQUEST)


def test_the_same_pictures_in_another_folder_are_the_same() -> None:
    found = compare_sides([_side("a", boxes=2.0), _side("b", boxes=0.2, folder="all/test")], REQUEST)
    assert found.pictures == {"boxes": 40}
    assert found.recommendation.choice == "b"
