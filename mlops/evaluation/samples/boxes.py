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
