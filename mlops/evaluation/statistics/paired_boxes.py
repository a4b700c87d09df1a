"""Two detectors' boxes on the same pictures, as what the paired bootstrap draws from. A unit is a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.metrics.average_precision import mean_defined, ranked_classes
from mlops.evaluation.samples.counting import count_at
from mlops.evaluation.samples.detections import detections_of
from mlops.evaluation.samples.matching import IOUS, match
from mlops.evaluation.statistics.paired import Pairing, Score
from mlops.evaluation.statistics.scores_of_boxes import ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.samples.boxes import Boxes
    from mlops.evaluation.samples.detections import Detections

_CELLS = 10_000_000  # of the largest array in work: 40 MB
_IOUS = {"mAP50": IOUS[:1], "mAP50-95": IOUS}


def pair_detectors(candidate: Boxes, champion: Boxes, figure: str) -> Pairing:
    """Compare on `mAP50`, `mAP50-95`, `recall@T` or `patch_F2@T` (T: the score from which a box counts).

    mAP is COCO's, from the boxes' corners. Raises ValueError for another figure.
    """
    pictures = np.union1d(candidate.image, champion.image)
    counts = np.ones(len(pictures), np.int64)
    own, other = (detections_of(boxes).on(pictures) for boxes in (candidate, champion))
    return Pairing(counts, _score(own, figure), _score(other, figure))


def _score(boxes: Detections, figure: str) -> Score:
    name, _, threshold = figure.partition("@")
    if figure in _IOUS:
        return _mean_ap(boxes, _IOUS[figure])
    if name == "recall" and threshold:
        return _recall(boxes, float(threshold))
    if name == "patch_F2" and threshold:
        return _patch_f2(boxes, float(threshold))
    raise ValueError(f"{figure} is no figure of a detector's boxes: mAP50, mAP50-95, recall@T, patch_F2@T")


def _mean_ap(boxes: Detections, ious: tuple[float, ...]) -> Score:
    """The mean over `ious` and the classes that a draw has objects of."""
    ranked = ranked_classes(boxes, match(boxes, ious))
    rows = max(8, _CELLS // max(len(boxes.pictures), *(len(each.hit_on) for each in ranked), 1))

    def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        if not ranked:
            return np.full(len(weights), np.nan)
        parts = []
        for start in range(0, len(weights), rows):
            drawn = np.ascontiguousarray(weights[start : start + rows].T, dtype=np.float32)
            parts.append(mean_defined(np.stack([each.ap(drawn).mean(0) for each in ranked])))
        return np.concatenate(parts)

    return score


def _recall(boxes: Detections, threshold: float) -> Score:
    counted = count_at(boxes, threshold)
    return lambda weights: ratio(weights @ counted.found, weights @ counted.objects)


def _patch_f2(boxes: Detections, threshold: float) -> Score:
    """F2 of the pictures, each taken as a patch: 5 TP / (5 TP + 4 FN + FP)."""
    counted = count_at(boxes, threshold)
    positive, flagged = counted.positive, counted.flagged
    hit = (positive & flagged).astype(np.int64)
    missed, false = (positive & ~flagged).astype(np.int64), (~positive & flagged).astype(np.int64)
    return lambda weights: ratio(5 * (weights @ hit), weights @ (5 * hit + 4 * missed + false))
