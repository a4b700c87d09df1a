"""A detector's per-sample results as arrays, and which predicted box matches which annotated one.

The matching rule is COCO's, and Ultralytics': boxes in descending order of score, each takes the free object
of its class with the highest IoU, if that is at least 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

IOU = 0.5


@dataclass(frozen=True, slots=True)
class Boxes:
    """The rows of `boxes.parquet` (its columns: `samples.tables`), N in all.

    image: (N,) paths. truth: (N,) bool, an annotated box; else a prediction. class_index: (N,).
    score: (N,), NaN for a truth. corners: (N, 4) x1, y1, x2, y2 in pixels. matched: (N,) bool, a prediction
    that counts as true at IoU 0.5.
    """

    image: NDArray[np.str_]
    truth: NDArray[np.bool_]
    class_index: NDArray[np.int64]
    score: NDArray[np.float64]
    corners: NDArray[np.float64]
    matched: NDArray[np.bool_]

    def rows(self, of: NDArray[np.int64] | NDArray[np.bool_]) -> Boxes:
        """Some of the rows: numbers, or a mask."""
        return Boxes(
            self.image[of],
            self.truth[of],
            self.class_index[of],
            self.score[of],
            self.corners[of],
            self.matched[of],
        )


def joined(parts: Iterable[Boxes]) -> Boxes:
    """One or more tables below each other."""
    held = list(parts)
    return Boxes(
        image=np.concatenate([each.image for each in held]),
        truth=np.concatenate([each.truth for each in held]),
        class_index=np.concatenate([each.class_index for each in held]),
        score=np.concatenate([each.score for each in held]),
        corners=np.concatenate([each.corners for each in held]),
        matched=np.concatenate([each.matched for each in held]),
    )


def iou_matrix(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each of a (N, 4) with each of b (M, 4): (N, M)."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    across = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None)
    shared = across.prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a[:, None] + area_b[None, :] - shared
    iou: NDArray[np.float64] = shared / np.where(union > 0, union, 1)
    return iou


@dataclass(frozen=True, slots=True)
class Pairs:
    """For the rows of a table (N): `partner` is the row of the matched box or object, -1 for none. iou:
    highest IoU of a prediction with an object of its class, NaN for an object.
    """

    partner: NDArray[np.int64]
    iou: NDArray[np.float64]


def pair_up(boxes: Boxes, *, threshold: float = 0.0, any_class: bool = False) -> Pairs:
    """Pair predictions above `threshold` with objects of their class, or of any class.

    Does not read `boxes.matched`, which is computed from the result.
    """
    partner = np.full(len(boxes.image), -1, np.int64)
    best = np.where(boxes.truth, np.nan, 0.0)
    for rows in by_picture(boxes):
        truths = rows[boxes.truth[rows]]
        given = rows[~boxes.truth[rows]]
        given = given[boxes.score[given] >= threshold]
        if not len(truths) or not len(given):
            continue
        given = given[np.argsort(-boxes.score[given], kind="stable")]
        iou = iou_matrix(boxes.corners[given], boxes.corners[truths])
        same = boxes.class_index[given][:, None] == boxes.class_index[truths][None, :]
        best[given] = (iou * same).max(1)
        open_to = iou if any_class else iou * same
        for row, at in zip(open_to, given, strict=True):
            nearest = len(row) - 1 - int(row[::-1].argmax())  # of two equal ones the later, as in pycocotools
            if row[nearest] >= IOU:
                partner[at], partner[truths[nearest]] = truths[nearest], at
                open_to[:, nearest] = 0
    return Pairs(partner, best)


def by_picture(boxes: Boxes) -> Iterator[NDArray[np.int64]]:
    """The row numbers of each image with rows, ordered by image name."""
    order = np.argsort(boxes.image, kind="stable")
    if not len(order):
        return
    cuts = np.flatnonzero(boxes.image[order][1:] != boxes.image[order][:-1]) + 1
    yield from np.split(order, cuts)
