"""Two detectors' boxes on the same pictures, as what the paired bootstrap draws from. A unit is a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.boxes import Boxes, Counted, count_at
from mlops.evaluation.paired import Pairing, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS = 4_000_000  # of an array over draws and hits: 32 MB


def pair_detectors(candidate: Boxes, champion: Boxes, figure: str) -> Pairing:
    """Compare on `mAP50`, `recall@T` or `patch_F2@T` (T: the score from which a box counts).

    mAP50 takes the exact area under the precision envelope, where Ultralytics interpolates at 101 points: the
    two differ by some thousandths, alike for both models. Raises ValueError for another figure.
    """
    pictures = np.union1d(candidate.image, champion.image)
    counts = np.ones(len(pictures), np.int64)
    return Pairing(counts, _score(candidate, pictures, figure), _score(champion, pictures, figure))


def _score(boxes: Boxes, pictures: NDArray[np.str_], figure: str) -> Score:
    name, _, threshold = figure.partition("@")
    if figure == "mAP50":
        return _map50(boxes, pictures)
    if name == "recall" and threshold:
        return _recall(count_at(boxes, float(threshold), pictures))
    if name == "patch_F2" and threshold:
        return _patch_f2(count_at(boxes, float(threshold), pictures))
    raise ValueError(f"{figure} is no figure of a detector's boxes: mAP50, recall@T, patch_F2@T")


def _recall(counted: Counted) -> Score:
    return lambda weights: _ratio(weights @ counted.found, weights @ counted.objects)


def _patch_f2(counted: Counted) -> Score:
    hit = (counted.positive & counted.flagged).astype(np.int64)
    missed = (counted.positive & ~counted.flagged).astype(np.int64)
    false = (~counted.positive & counted.flagged).astype(np.int64)
    return lambda weights: _ratio(5 * (weights @ hit), weights @ (5 * hit + 4 * missed + false))


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return share


def _map50(boxes: Boxes, pictures: NDArray[np.str_]) -> Score:
    """Mean AP at IoU 0.5 over the classes that a draw has objects of."""
    at = np.searchsorted(pictures, boxes.image)
    classes = []
    for index in np.unique(boxes.class_index[boxes.truth]):
        own = boxes.class_index == index
        truths = np.bincount(at[own & boxes.truth], minlength=len(pictures))
        given = np.flatnonzero(own & ~boxes.truth)
        given = given[np.argsort(-boxes.score[given], kind="stable")]
        classes.append(_Ranked.of(truths, at[given], boxes.matched[given]))

    def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = weights.astype(np.float32)
        return _mean(np.stack([each.ap(drawn) for each in classes]))

    return score


def _mean(ap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes (first axis) that are defined; NaN where none is."""
    there = np.isfinite(ap)
    mean: NDArray[np.float64] = np.where(
        there.any(0), np.where(there, ap, 0).sum(0) / np.maximum(there.sum(0), 1), np.nan
    )
    return mean


@dataclass(frozen=True, slots=True)
class _Ranked:
    """One class's objects and boxes on M pictures, the boxes ranked, the surest first.

    Precision is highest at a hit, so only the T hits are looked at. truths: (M,) objects of each picture.
    hit_on: (T,) the picture of each hit. since: (M, T) boxes of each picture from behind the hit before up
    to this one: weights @ since is how many boxes a draw has there.
    """

    truths: NDArray[np.float32]
    hit_on: NDArray[np.int64]
    since: NDArray[np.float32]

    @classmethod
    def of(cls, truths: NDArray[np.int64], picture: NDArray[np.int64], hit: NDArray[np.bool_]) -> _Ranked:
        """truths (M,); picture and hit of each ranked box. Boxes behind the last hit change nothing."""
        hits = np.flatnonzero(hit)
        behind = np.searchsorted(hits, np.arange(len(hit)))  # the hit that each box comes before, or is
        counted = behind < len(hits)
        since = np.zeros((len(truths), len(hits)), np.float32)
        np.add.at(since, (picture[counted], behind[counted]), 1)
        return cls(truths.astype(np.float32), picture[hits], since)

    def ap(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """AP on each draw, weights (D, M): the area under the envelope; NaN without an object."""
        total = (weights @ self.truths).astype(np.float64)
        step = max(1, _CELLS // max(1, len(self.hit_on)))
        area = np.concatenate([self._area(weights[i : i + step]) for i in range(0, len(weights), step)])
        ap: NDArray[np.float64] = np.where(total > 0, area / np.maximum(total, 1), np.nan)
        return ap

    def _area(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        hits = weights[:, self.hit_on].astype(np.float64)
        seen = np.cumsum(weights @ self.since, axis=1, dtype=np.float64)
        precision = np.cumsum(hits, axis=1) / np.maximum(seen, 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        area: NDArray[np.float64] = (hits * envelope).sum(1)
        return area
