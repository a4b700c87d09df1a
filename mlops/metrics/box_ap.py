"""Average precision of a table of boxes, by pycocotools; every mAP is computed here."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mlops.metrics.samples.boxes import Boxes

Size = Literal["all", "small", "medium", "large"]
SIZES: tuple[Size, ...] = ("all", "small", "medium", "large")
SMALL, MEDIUM = 32**2, 96**2  # COCO's: square pixels of the image file
_EVERY = 1_000_000  # boxes per image and class: all boxes of the table


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """ap50, ap: at IoU 0.5, and mean over IoU 0.5 to 0.95; NaN without an object. objects: annotated."""

    ap50: float
    ap: float
    objects: int


@dataclass(frozen=True, slots=True)
class CocoFigures:
    """by_class: class name -> AP, for classes with an object. by_size: their means."""

    by_class: Mapping[str, AveragePrecision]
    by_size: Mapping[Size, AveragePrecision]

    @property
    def map50(self) -> float:
        return self.by_size["all"].ap50

    @property
    def map50_95(self) -> float:
        return self.by_size["all"].ap


def coco_figures(boxes: Boxes, classes: Sequence[str]) -> CocoFigures:
    """COCO's AP (101 recalls, IoU 0.5 to 0.95 in ten steps) over every box of the table.

    Unlike COCO's summary, which uses at most 100 boxes per image, all boxes of the table count. A mean is
    over the classes with an object (of that size). Small: below 32² pixels, large: 96² pixels or more; boxes
    of other sizes are ignored, as in COCO.
    """
    precision = _precision(boxes, len(classes))  # (IoUs, recalls, classes, sizes), -1 for no object
    area = (boxes.corners[:, 2:] - boxes.corners[:, :2]).prod(1)
    size = np.digitize(area, (SMALL, MEDIUM)) + 1
    by_size: dict[Size, AveragePrecision] = {}
    for index, name in enumerate(SIZES):
        own = boxes.truth & ((size == index) | (index == 0))
        by_size[name] = _mean(precision[..., index], int(own.sum()))
    by_class = {}
    for index, label in enumerate(classes):
        objects = int((boxes.truth & (boxes.class_index == index)).sum())
        if objects:
            by_class[label] = _mean(precision[:, :, index : index + 1, 0], objects)
    return CocoFigures(by_class, by_size)


def _mean(precision: NDArray[np.float64], objects: int) -> AveragePrecision:
    """precision (IoUs, recalls, classes)."""
    at50 = precision[0][precision[0] > -1]
    every = precision[precision > -1]
    none = float("nan")
    return AveragePrecision(
        float(at50.mean()) if at50.size else none, float(every.mean()) if every.size else none, objects
    )


def _precision(boxes: Boxes, classes: int) -> NDArray[np.float64]:
    from pycocotools.cocoeval import COCOeval

    names, image = np.unique(boxes.image, return_inverse=True)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truths = _data_set(boxes, image, len(names), classes, boxes.truth)
        given = _data_set(boxes, image, len(names), classes, ~boxes.truth)
        judged = COCOeval(truths, given, "bbox")
        judged.params.maxDets = [_EVERY]
        judged.params.catIds = list(range(1, classes + 1))
        judged.evaluate()
        judged.accumulate()
    precision: NDArray[np.float64] = np.asarray(judged.eval["precision"])[..., 0]
    return precision


def _data_set(
    boxes: Boxes, image: NDArray[np.int64], pictures: int, classes: int, of: NDArray[np.bool_]
) -> Any:
    from pycocotools.coco import COCO

    rows = np.flatnonzero(of)
    low, size = boxes.corners[rows, :2], boxes.corners[rows, 2:] - boxes.corners[rows, :2]
    corners = np.concatenate([low, size], axis=1).tolist()
    made = COCO()
    made.dataset = {
        "images": [{"id": index} for index in range(pictures)],
        "categories": [{"id": index + 1} for index in range(classes)],
        "annotations": [
            {
                "id": number + 1,  # 0 would mean no match
                "image_id": int(image[row]),
                "category_id": int(boxes.class_index[row]) + 1,
                "bbox": corner,
                "area": corner[2] * corner[3],
                "iscrowd": 0,
                "score": float(boxes.score[row]),
            }
            for number, (row, corner) in enumerate(zip(rows, corners, strict=True))
        ],
    }
    made.createIndex()
    return made
