"""How far two models' answers are apart, and what is too far."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mlops.prediction.onnx_model import PredictedBoxes
from registry.export.formats.contract import Precision
from registry.export.proof.held_out_images import spread
from registry.export.proof.parity import beyond, compare_boxes, compare_classes, limits_of

CLASSES = ("a", "b", "c")
TRUTH = np.array([0, 1, 2, 0], np.int64)
SURE = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.4, 0.5, 0.1]], np.float32)
BOXES = (np.array([[0, 10.0, 10.0, 30.0, 30.0]]), np.array([[1, 5.0, 5.0, 25.0, 45.0]]))


def _found(*rows: tuple[float, ...]) -> PredictedBoxes:
    held = np.array(rows, np.float32).reshape(-1, 6)
    return PredictedBoxes(held[:, :4], held[:, 4], held[:, 5].astype(np.int64))


ORIGINAL = (_found((10, 10, 30, 30, 0.9, 0), (50, 50, 60, 60, 0.1, 2)), _found((5, 5, 25, 45, 0.8, 1)))


def test_the_same_answers_are_perfect() -> None:
    classes = compare_classes(TRUTH, SURE, SURE, CLASSES)
    assert (classes.difference, classes.agreement, classes.cost) == (0, 1, 0)
    assert classes.accuracy == 0.75
    boxes = compare_boxes(BOXES, ORIGINAL, ORIGINAL, CLASSES, 0.25)
    assert (boxes.agreement, boxes.difference, boxes.iou, boxes.cost) == (1, 0, 1, 0)
    assert boxes.map50 == boxes.original_map50 == pytest.approx(1)
    assert boxes.boxes == 4  # two a side
    for parity in (classes, boxes):
        assert all(beyond(parity, limits_of(parity, precision)) == "" for precision in Precision)


def test_another_top_class_is_counted_and_told() -> None:
    given = SURE.copy()
    given[:2] = [[0.3, 0.6, 0.1], [0.8, 0.1, 0.1]]
    parity = compare_classes(TRUTH, SURE, given, CLASSES)
    assert parity.agreement == 0.5
    assert parity.difference == pytest.approx(0.7)
    assert parity.accuracy == 0.25
    assert "probability differs by 0.7" in beyond(parity, limits_of(parity, Precision.FP32))
    assert "agrees on 50.00% of images" in beyond(parity, limits_of(parity, Precision.INT8))


def test_one_picture_alone_fails_fp32_but_no_smaller_file() -> None:
    given = SURE.copy()
    given[2] = [0.2, 0.41, 0.39]
    parity = compare_classes(TRUTH, SURE, given, CLASSES)
    assert parity.agreement == 0.75
    assert beyond(replace(parity, difference=0), limits_of(parity, Precision.FP32))
    assert not beyond(parity, limits_of(parity, Precision.INT8))


def test_a_missing_box_and_a_box_too_many_both_count() -> None:
    missing = compare_boxes(BOXES, ORIGINAL, (ORIGINAL[0], _found()), CLASSES, 0.25)
    assert (missing.boxes, missing.agreement) == (3, pytest.approx(2 / 3))
    assert missing.map50 == pytest.approx(0.5)
    many = (ORIGINAL[0], _found((5, 5, 25, 45, 0.8, 1), (60, 5, 80, 45, 0.7, 1)))
    assert compare_boxes(BOXES, ORIGINAL, many, CLASSES, 0.25).agreement == pytest.approx(4 / 5)


def test_a_box_of_another_class_is_not_the_same_box() -> None:
    given = (ORIGINAL[0], _found((5, 5, 25, 45, 0.8, 2)))
    assert compare_boxes(BOXES, ORIGINAL, given, CLASSES, 0.25).agreement == 0.5


def test_a_box_just_below_the_threshold_still_answers_one_above_it() -> None:
    original = (_found((10, 10, 30, 30, 0.26, 0)), _found())
    given = (_found((10, 10, 30, 30, 0.24, 0)), _found())
    parity = compare_boxes(BOXES, original, given, CLASSES, 0.25)
    assert (parity.boxes, parity.agreement) == (1, 1)
    assert parity.difference == pytest.approx(0.02)


def test_no_boxes_on_either_side_agree() -> None:
    empty = (_found(), _found())
    parity = compare_boxes(BOXES, empty, empty, CLASSES, 0.25)
    assert (parity.boxes, parity.agreement, parity.cost) == (0, 1, 0)


def test_a_figure_that_is_no_number_is_beyond_every_limit() -> None:
    parity = compare_classes(TRUTH, SURE, SURE, CLASSES)
    for name in ("difference", "agreement", "macro_f1"):
        broken = replace(parity, **{name: math.nan})
        assert beyond(broken, limits_of(broken, Precision.FP32))


def test_the_pictures_chosen_are_the_same_each_time_and_from_all_over() -> None:
    chosen = spread(1000, 100)
    assert chosen == spread(1000, 100)
    assert len(set(chosen)) == 100
    assert min(chosen) < 100 and max(chosen) >= 900
