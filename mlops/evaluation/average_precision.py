"""COCO's average precision on thousands of weighted draws of the pictures at once.

On one draw each picture counts as often as it was drawn. AP is COCO's: precision at 101 recalls, each the
largest at that recall or beyond (pycocotools' `COCOeval.accumulate`), computed at the hits alone, as
precision only falls between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.evaluation.matching import IOUS, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.detections import Detections

RECALLS = np.linspace(0.0, 1.0, 101)  # pycocotools' own numbers, to the last bit


@dataclass(frozen=True, slots=True)
class RankedClass:
    """One class's objects on M pictures and the H of its ranked boxes that are true at some IoU.

    truths: (M,) objects of each picture. hit_on: (H,) the picture of each. boxes: (H, M) sparse, the boxes of
    each picture from behind the hit before up to this one, so that boxes @ weights counts a draw's. hits: for
    each IoU the places among H of those true at it.
    """

    index: int
    truths: NDArray[np.float32]
    hit_on: NDArray[np.int64]
    boxes: Any
    hits: tuple[NDArray[np.int64], ...]

    def ap(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """AP at each IoU on D draws, weights (D, M): (IoUs, D). NaN on a draw without an object."""
        total = (weights @ self.truths).astype(np.float64)
        ap = np.zeros((len(self.hits), len(weights)))
        if len(self.hit_on):
            here = np.ascontiguousarray((self.boxes @ np.ascontiguousarray(weights.T)).T)
            seen = np.cumsum(here, axis=1, out=here)
            drawn = weights.take(self.hit_on, axis=1)
            over = np.maximum(total, 1)[:, None]
            for row, at in enumerate(self.hits):
                if len(at):
                    ap[row] = _area(drawn.take(at, axis=1), seen.take(at, axis=1), over)
        ap[:, total == 0] = np.nan
        return ap


def ranked_classes(boxes: Detections, ious: tuple[float, ...] = IOUS) -> list[RankedClass]:
    """Every class that has an object, its boxes matched at each of `ious`."""
    from scipy.sparse import csr_matrix

    matched = match(boxes, ious)
    pictures = len(boxes.pictures)
    ranked = []
    for index in np.unique(boxes.truth_class):
        truths = np.bincount(boxes.truth_picture[boxes.truth_class == index], minlength=pictures)
        start, stop = np.searchsorted(boxes.class_index, (index, index + 1))
        picture, own = boxes.picture[start:stop], matched[:, start:stop]
        hits = np.flatnonzero(own.any(0))
        behind = np.searchsorted(hits, np.arange(stop - start))  # the hit that each box comes before, or is
        counted = behind < len(hits)  # boxes behind the last hit change nothing
        ones = np.ones(int(counted.sum()), np.float32)
        cells = (behind[counted], picture[counted])
        between = csr_matrix((ones, cells), shape=(len(hits), pictures), dtype=np.float32)
        places = tuple(np.flatnonzero(row) for row in own[:, hits])
        ranked.append(RankedClass(int(index), truths.astype(np.float32), picture[hits], between, places))
    return ranked


def mean_defined(ap: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the first axis (classes), of those that are defined; NaN where none is."""
    there = np.isfinite(ap)
    count = there.sum(0)
    mean: NDArray[np.float64] = np.where(there, ap, 0).sum(0) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def _area(
    hits: NDArray[np.float32], seen: NDArray[np.float32], over: NDArray[np.float64]
) -> NDArray[np.float64]:
    """hits (D, H): how often each was drawn; seen (D, H): boxes up to it; over (D, 1) objects. AP (D,)."""
    found = np.cumsum(hits, axis=1, out=hits)
    precision = np.divide(found, np.maximum(seen, 1, out=seen), out=seen)
    backwards = precision[:, ::-1]
    np.maximum.accumulate(backwards, axis=1, out=backwards)
    recall = found / over
    nearest = np.rint(recall * 100).astype(np.int8)
    # how many of the 101 recalls are reached; a whole recall may lie an ulp above or below RECALLS' number
    reached = nearest + (RECALLS.take(nearest) <= recall)
    steps = np.diff(reached, axis=1, prepend=0)
    area: NDArray[np.float64] = np.einsum("dh,dh->d", precision, steps, dtype=np.float64) / len(RECALLS)
    return area
