"""A detector's per-sample results as arrays, and what is counted on them picture by picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

IOU = 0.5


@dataclass(frozen=True, slots=True)
class Boxes:
    """The rows of `boxes.parquet` (its columns: `mlops.training.detection.boxes`), N in all.

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


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found on each of M pictures at a threshold, (M,) each.

    objects: annotated; found: of them, matched by a box of their class. positive: the picture shows
    something; flagged: some box was given, of whatever class.
    """

    objects: NDArray[np.int64]
    found: NDArray[np.int64]
    positive: NDArray[np.bool_]
    flagged: NDArray[np.bool_]

    @property
    def recall(self) -> float:
        """Found of all objects; NaN without any."""
        total = int(self.objects.sum())
        return float(self.found.sum() / total) if total else float("nan")

    @property
    def patch_f2(self) -> float:
        """F2 of the pictures, each taken as a patch: 5 TP / (5 TP + 4 FN + FP); NaN where that is 0 / 0."""
        hit, missed = int((self.positive & self.flagged).sum()), int((self.positive & ~self.flagged).sum())
        over = 5 * hit + 4 * missed + int((~self.positive & self.flagged).sum())
        return 5 * hit / over if over else float("nan")


def count_at(boxes: Boxes, threshold: float, pictures: NDArray[np.str_] | None = None) -> Counted:
    """Count on `pictures` (all that occur, in order, where None) with boxes of at least `threshold`.

    Boxes of a class take objects of that class greedily, the surest box first, at an IoU of at least 0.5.
    A picture without any row (nothing annotated, nothing predicted) is a true negative: neither figure
    needs it.
    """
    names = np.unique(boxes.image) if pictures is None else pictures
    place = {name: index for index, name in enumerate(names.tolist())}
    objects, found = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    flagged = np.zeros(len(names), np.bool_)
    keep = boxes.truth | (boxes.score >= threshold)
    rows = np.flatnonzero(keep)
    order = rows[np.argsort(boxes.image[rows], kind="stable")]
    cuts = np.flatnonzero(boxes.image[order][1:] != boxes.image[order][:-1]) + 1
    for own in np.split(order, cuts) if len(order) else []:
        at = place[str(boxes.image[own[0]])]
        truths, given = own[boxes.truth[own]], own[~boxes.truth[own]]
        objects[at], flagged[at] = len(truths), len(given) > 0
        found[at] = _found(boxes, truths, given)
    return Counted(objects, found, objects > 0, flagged)


def _found(boxes: Boxes, truths: NDArray[np.int64], given: NDArray[np.int64]) -> int:
    """How many of `truths` the boxes `given` (row numbers of one picture) find."""
    if not len(truths) or not len(given):
        return 0
    surest = given[np.argsort(-boxes.score[given], kind="stable")]
    same = boxes.class_index[surest][:, None] == boxes.class_index[truths][None, :]
    iou = iou_matrix(boxes.corners[surest], boxes.corners[truths]) * same
    found = 0
    for row in iou:
        best = int(row.argmax())
        if row[best] >= IOU:
            found += 1
            iou[:, best] = 0
    return found


def iou_matrix(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each of a (N, 4) with each of b (M, 4): (N, M)."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    across = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None)
    shared = across.prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a[:, None] + area_b[None, :] - shared
    iou: NDArray[np.float64] = shared / np.where(union > 0, union, 1)
    return iou
