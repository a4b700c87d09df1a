"""COCO's average precision on thousands of weighted resamples of the images at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.metrics.samples.matching import Detections

# Takes the objects found on each draw (D,) and writes how many of the recalls 0.01, 0.02, ... are reached.
Reached: TypeAlias = "Callable[[NDArray[np.float32], NDArray[np.float32]], None]"

_DRAWS = 256
RECALLS = np.linspace(0.0, 1.0, 101)  # exactly pycocotools' values


@dataclass(frozen=True, slots=True)
class RankedClass:
    """One class's objects on M images, and its H ranked boxes that are true at some IoU (hits).

    truths: (M,) objects of each image. hit_on: (H,) the image of each hit. boxes: (H, M) sparse, the number
    of boxes of each image after the previous hit up to this one, so that boxes @ weights counts those of a
    draw.
    hits: for each IoU the indices among H of the hits at this IoU.
    """

    index: int
    truths: NDArray[np.float32]
    hit_on: NDArray[np.int64]
    boxes: Any
    hits: tuple[NDArray[np.int64], ...]

    def ap(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """AP at each IoU on D draws, weights (M, D): (IoUs, D). NaN on a draw without an object.

        For a single draw this is pycocotools' AP within float32. For several draws, a recall of a whole
        percent counts as reached, for which pycocotools' rounding misses ten of the hundred.
        """
        total = self.truths @ weights
        seen = self._boxes_between(weights)
        for before, row in pairwise(seen):
            row += before
        np.maximum(seen, 1, out=seen)
        drawn = weights[self.hit_on]
        reached = (_exactly if len(total) == 1 else _nearly)(np.maximum(total, 1))
        ap = np.stack([_area(drawn, seen, at, reached) for at in self.hits]).astype(np.float64)
        ap[:, total == 0] = np.nan
        return ap

    def _boxes_between(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """boxes @ weights, (H, D), computed for some draws at a time, so that they fit into the cache."""
        between = np.empty((len(self.hit_on), weights.shape[1]), np.float32)
        for start in range(0, weights.shape[1], _DRAWS):
            some = slice(start, start + _DRAWS)
            between[:, some] = self.boxes @ np.ascontiguousarray(weights[:, some])
        return between


def ranked_classes(boxes: Detections, matched: NDArray[np.bool_]) -> list[RankedClass]:
    """Every class with an object. matched: (IoUs, P), from `mlops.metrics.samples.matching`."""
    from scipy.sparse import csr_matrix

    pictures = len(boxes.pictures)
    ranked = []
    for index in np.unique(boxes.truth_class):
        truths = np.bincount(boxes.truth_picture[boxes.truth_class == index], minlength=pictures)
        start, stop = np.searchsorted(boxes.class_index, (index, index + 1))
        picture, own = boxes.picture[start:stop], matched[:, start:stop]
        hits = np.flatnonzero(own.any(0))
        behind = np.searchsorted(hits, np.arange(stop - start))  # the first hit at or after each box
        counted = behind < len(hits)  # boxes after the last hit have no effect
        ones = np.ones(int(counted.sum()), np.float32)
        cells = (behind[counted], picture[counted])
        between = csr_matrix((ones, cells), shape=(len(hits), pictures), dtype=np.float32)
        places = tuple(np.flatnonzero(row) for row in own[:, hits])
        ranked.append(RankedClass(int(index), truths.astype(np.float32), picture[hits], between, places))
    return ranked


def mean_defined(ap: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the first axis (classes) of the defined values; NaN if none is defined."""
    there = np.isfinite(ap)
    count = there.sum(0)
    mean: NDArray[np.float64] = np.where(there, ap, 0).sum(0) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def _area(
    drawn: NDArray[np.float32], seen: NDArray[np.float32], hits: NDArray[np.int64], reached: Reached
) -> NDArray[np.float32]:
    """AP (D,). drawn, seen (H, D): how often each hit was drawn, and the number of boxes up to it.

    Goes from the last hit to the first, to track the largest precision at a recall or beyond. A row has all
    draws
    of one hit: long enough for numpy, short enough for the cache. Counts below 2^24 are exact in float32.
    """
    found: NDArray[np.float32] = drawn[hits].sum(0)
    best, area, precision, recalls, fewer = (np.zeros_like(found) for _ in range(5))
    reached(found, recalls)
    for at in hits[::-1].tolist():
        np.divide(found, seen[at], precision)
        np.maximum(best, precision, best)
        np.subtract(found, drawn[at], found)
        reached(found, fewer)
        np.subtract(recalls, fewer, recalls)
        np.multiply(recalls, best, recalls)
        np.add(area, recalls, area)
        recalls, fewer = fewer, recalls
    area += best  # at recall 0
    area /= len(RECALLS)
    return area


def _nearly(total: NDArray[np.float32]) -> Reached:
    """Of `total` (D,) objects."""
    percent = np.float32(100) / total
    up = np.float32(2e-5)  # rounding error of float32 for a whole percent

    def reached(found: NDArray[np.float32], into: NDArray[np.float32]) -> None:
        np.multiply(found, percent, into)
        np.add(into, up, into)
        np.floor(into, into)

    return reached


def _exactly(total: NDArray[np.float32]) -> Reached:
    """As `_nearly`, compared with `RECALLS` as pycocotools does."""

    def reached(found: NDArray[np.float32], into: NDArray[np.float32]) -> None:
        shares = found.astype(np.float64) / total
        into[:] = np.searchsorted(RECALLS, shares, side="right") - 1

    return reached
