"""A detector's figures are those of pycocotools, scikit-learn and of examples worked out by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import confusion_matrix, fbeta_score, roc_auc_score

from mlops.drawing.example_choice import box_examples
from mlops.metrics.box_ap import coco_figures
from mlops.metrics.box_metrics import (
    as_metrics,
    box_counts,
    chosen_threshold,
    detection_figures,
    froc,
    surest,
)
from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.thresholds import read_rule
from mlops.prediction.split_predictions import with_matches
from tests.metrics.box_tables import CLASSES, made_boxes

Row = tuple[str, int, float | None, tuple[float, float, float, float]]
SQUARE = (10.0, 10.0, 30.0, 30.0)


def table(*rows: Row) -> Boxes:
    """(picture, class, score or None for a truth, corners)."""
    score = np.array([np.nan if row[2] is None else row[2] for row in rows], np.float64)
    return with_matches(
        Boxes(
            image=np.array([row[0] for row in rows]),
            truth=np.isnan(score),
            class_index=np.array([row[1] for row in rows], np.int64),
            score=score,
            corners=np.array([row[3] for row in rows], np.float64),
            matched=np.zeros(len(rows), np.bool_),
        )
    )


# four pictures: found; missed, with a box elsewhere; a box where nothing is; taken for another class
WORKED = table(
    ("a", 0, None, SQUARE),
    ("a", 0, 0.9, (11.0, 10.0, 30.0, 30.0)),
    ("b", 0, None, SQUARE),
    ("b", 0, 0.6, (40.0, 40.0, 60.0, 60.0)),
    ("c", 1, 0.8, SQUARE),
    ("d", 1, None, SQUARE),
    ("d", 0, 0.7, SQUARE),
)
PICTURES = ("a", "b", "c", "d", "empty")


def theirs(boxes: Boxes, classes: int) -> NDArray[np.float64]:
    """The twelve figures of COCO's own summary, from its own reading of results."""
    names = {name: index for index, name in enumerate(np.unique(boxes.image))}
    corners = np.concatenate([boxes.corners[:, :2], boxes.corners[:, 2:] - boxes.corners[:, :2]], axis=1)
    truths, given = np.flatnonzero(boxes.truth), np.flatnonzero(~boxes.truth)

    def entry(row: int) -> dict[str, object]:
        box = corners[row].tolist()
        return {
            "image_id": names[boxes.image[row]],
            "category_id": int(boxes.class_index[row]) + 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }

    with contextlib.redirect_stdout(io.StringIO()):
        held = COCO()
        held.dataset = {
            "images": [{"id": index} for index in names.values()],
            "categories": [{"id": index + 1} for index in range(classes)],
            "annotations": [{"id": n + 1, **entry(row)} for n, row in enumerate(truths)],
        }
        held.createIndex()
        results = held.loadRes([{**entry(row), "score": float(boxes.score[row])} for row in given])
        judged = COCOeval(held, results, "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.asarray(judged.stats)


@pytest.mark.parametrize("grown", [1.0, 4.0])
def test_map_of_all_and_of_each_size_is_cocos_own_summary(grown: float) -> None:
    boxes = made_boxes(7, pictures=40)
    boxes = Boxes(
        boxes.image, boxes.truth, boxes.class_index, boxes.score, boxes.corners * grown, boxes.matched
    )
    ours, stats = coco_figures(boxes, CLASSES), theirs(boxes, len(CLASSES))
    assert ours.map50_95 == pytest.approx(stats[0], abs=1e-9)
    assert ours.map50 == pytest.approx(stats[1], abs=1e-9)
    for size, expected in zip(("small", "medium", "large"), stats[3:6], strict=True):
        if expected > -1:
            assert ours.by_size[size].ap == pytest.approx(expected, abs=1e-9)  # type: ignore[index]
        else:
            assert np.isnan(ours.by_size[size].ap)  # type: ignore[index]


def test_precision_recall_and_f_of_the_worked_example() -> None:
    figures = detection_figures(WORKED, PICTURES, ("x", "y"), threshold=0.5)
    assert (figures.point.true, figures.point.false, figures.point.missed) == (1, 3, 2)
    assert figures.point.precision == pytest.approx(1 / 4)
    assert figures.point.recall == pytest.approx(1 / 3)
    # F2 = 5 TP / (5 TP + 4 FN + FP) = 5 / (5 + 8 + 3)
    assert figures.point.f_beta(2) == pytest.approx(5 / 16)
    assert figures.by_class["y"].recall == 0
    only_surest = detection_figures(WORKED, PICTURES, ("x", "y"), threshold=0.85)
    assert (only_surest.point.true, only_surest.point.false) == (1, 0)


def test_pictures_count_as_one_answer_each() -> None:
    images = detection_figures(WORKED, PICTURES, ("x", "y"), threshold=0.65).images
    assert (images.tp, images.tn, images.fp, images.fn) == (2, 1, 1, 1)  # b's box is below 0.65
    truth, flagged = [1, 1, 0, 1, 0], [1, 0, 1, 1, 0]
    assert images.f2 == pytest.approx(fbeta_score(truth, flagged, beta=2))
    assert images.sensitivity == pytest.approx(2 / 3)
    assert images.specificity == pytest.approx(1 / 2)
    score, positive = surest(WORKED, PICTURES)
    figures = detection_figures(WORKED, PICTURES, ("x", "y"), threshold=0.65)
    assert figures.auc == pytest.approx(roc_auc_score(positive, score))


def test_the_confusion_matrix_has_false_boxes_in_its_last_row_and_misses_in_its_last_column() -> None:
    matrix = detection_figures(WORKED, PICTURES, ("x", "y"), threshold=0.5).confusion
    # true: x found, x missed, y taken for x, and two boxes on background: one x, one y
    truth = ["x", "x", "y", "background", "background"]
    given = ["x", "background", "x", "x", "y"]
    expected = confusion_matrix(truth, given, labels=["x", "y", "background"])
    np.testing.assert_array_equal(matrix, expected)


def test_froc_of_the_worked_example() -> None:
    found = froc(box_counts(WORKED), len(PICTURES))
    # from the surest box down: true, false, false, false; three objects, five pictures
    np.testing.assert_allclose(found.false_per_image, [0, 0, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(found.sensitivity, [0, 1 / 3, 1 / 3, 1 / 3, 1 / 3])
    assert found.at[0.125] == pytest.approx(1 / 3)
    assert found.score == pytest.approx(1 / 3)


def test_froc_reads_the_sensitivity_at_no_more_false_boxes_than_the_rate() -> None:
    boxes = made_boxes(5, pictures=30)
    boxes = with_matches(boxes)
    found = froc(box_counts(boxes), 30)
    objects = int(boxes.truth.sum())
    for rate, sensitivity in found.at.items():
        best = 0.0
        for threshold in boxes.score[~boxes.truth]:
            sure = ~boxes.truth & (boxes.score >= threshold)
            if (sure & ~boxes.matched).sum() / 30 <= rate:
                best = max(best, float((sure & boxes.matched).sum() / objects))
        assert sensitivity == pytest.approx(best)


@pytest.mark.parametrize("rule", ["F1", "F2", "recall>=0.3", "image-F2", "image-recall>=0.7"])
def test_a_chosen_threshold_is_the_best_of_all_that_could_be(rule: str) -> None:
    boxes = with_matches(made_boxes(11, pictures=30))
    pictures = sorted(set(boxes.image.tolist()))
    chosen = chosen_threshold(read_rule(rule), boxes, pictures)
    assert chosen is not None

    def reached(threshold: float) -> float:
        figures = detection_figures(boxes, pictures, CLASSES, threshold)
        held = figures.images if rule.startswith("image") else figures.point
        if rule.endswith(("F1", "F2")):
            return held.f2 if rule.startswith("image") else held.f_beta(float(rule[-1]))  # type: ignore[union-attr]
        return held.sensitivity if rule.startswith("image") else held.recall  # type: ignore[union-attr]

    every = np.unique(boxes.score[~boxes.truth])[::25]
    if "recall" in rule:
        asked = float(rule.partition(">=")[2])
        assert reached(chosen) >= asked
        assert all(reached(float(each)) < asked for each in every if each > chosen)
    else:
        assert reached(chosen) == pytest.approx(max(reached(float(each)) for each in [*every, chosen]))


def test_no_threshold_is_made_up_where_no_score_reaches_the_recall() -> None:
    assert chosen_threshold(read_rule("recall>=0.9"), WORKED, PICTURES) is None
    assert chosen_threshold(read_rule("recall>=0.3"), WORKED, PICTURES) == 0.9


def test_a_split_without_an_object_gives_no_made_up_figures() -> None:
    boxes = table(("a", 0, 0.9, SQUARE))
    metrics = as_metrics(detection_figures(boxes, ("a", "b"), ("x", "y"), 0.5, with_froc=True))
    assert "mAP50" not in metrics and "images/sensitivity" not in metrics
    assert metrics["images/specificity"] == 0.5
    assert metrics["chosen/precision"] == 0


def test_the_worst_errors_of_each_kind_come_first_each_of_another_picture() -> None:
    examples = box_examples(WORKED, ("x", "y"), threshold=0.5, count=5)
    told = [(each.kind, each.image, each.truth, each.predicted) for each in examples]
    assert told == [
        ("false positive", "c", "", "y"),
        ("false positive", "b", "", "x"),
        ("miss", "b", "x", ""),
        ("confusion", "d", "y", "x"),
        ("right", "a", "x", "x"),
    ]
    assert box_examples(WORKED, ("x", "y"), threshold=0.5, count=1)[0].image == "c"
