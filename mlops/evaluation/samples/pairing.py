"""Which predicted box finds which annotated one, picture by picture.

The rule is COCO's, and Ultralytics': the surest box first, each takes the free object of its class that it
overlaps most, if by an IoU of at least 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.samples.boxes import IOU, Boxes, iou_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pairs:
    """For the rows of a table (N): `partner` is the row that a box and an object have in each other, -1 for
    none. iou: of a prediction with the truth of its class that it overlaps most, NaN for a truth.
    """

    partner: NDArray[np.int64]
    iou: NDArray[np.float64]


def pair_up(boxes: Boxes, *, threshold: float = 0.0, any_class: bool = False) -> Pairs:
    """Pair predictions of at least `threshold` with objects of their class, or of any class.

    `boxes.matched` is not looked at, so that it may be made from this.
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
            nearest = len(row) - 1 - int(row[::-1].argmax())  # of two alike the later, as pycocotools
            if row[nearest] >= IOU:
                partner[at], partner[truths[nearest]] = truths[nearest], at
                open_to[:, nearest] = 0
    return Pairs(partner, best)


def by_picture(boxes: Boxes) -> Iterator[NDArray[np.int64]]:
    """The row numbers of each picture that has any, in the order of the pictures' names."""
    order = np.argsort(boxes.image, kind="stable")
    if not len(order):
        return
    cuts = np.flatnonzero(boxes.image[order][1:] != boxes.image[order][:-1]) + 1
    yield from np.split(order, cuts)
