"""A detector's figures on draws of the pictures: AP by COCO's rule, precision and recall at a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.evaluation.metrics.average_precision import mean_defined, ranked_classes
from mlops.evaluation.samples.counting import count_at
from mlops.evaluation.samples.matching import match
from mlops.evaluation.statistics.resampling import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.samples.detections import Detections

BOX_FIGURES = ("mAP50-95", "mAP50", "precision", "recall", "F1")


def scores_of_boxes(boxes: Detections, classes: Mapping[int, str], threshold: float) -> Scored:
    """`BOX_FIGURES` and `AP50/<class>` of each class with an object. A unit is a picture of `boxes.pictures`.

    precision, recall, F1: over the boxes of all classes together that score at least `threshold`, at IoU 0.5.
    The means of AP are over the classes that a draw has objects of.
    """
    matched = match(boxes)
    ranked = ranked_classes(boxes, matched)
    at = count_at(boxes, threshold, matched[0])
    counted = np.stack([at.found, at.given, at.objects]).astype(np.float32)
    names = [f"AP50/{classes.get(each.index, each.index)}" for each in ranked]

    def scores(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = np.ascontiguousarray(weights.T, dtype=np.float32)
        if ranked:
            ap = np.stack([each.ap(drawn) for each in ranked])  # (classes, IoUs, D)
        else:
            ap = np.full((0, 1, len(weights)), np.nan)
        found, given, objects = (counted @ drawn).astype(np.float64)
        columns = [
            mean_defined(ap.mean(1)),
            mean_defined(ap[:, 0]),
            ratio(found, given),
            ratio(found, objects),
            ratio(2 * found, given + objects),
            *ap[:, 0],
        ]
        return np.stack(columns, axis=1)

    width = max((len(each.hit_on) for each in ranked), default=1)
    return Scored((*BOX_FIGURES, *names), scores, width)


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """part / whole, NaN where whole is 0."""
    share: NDArray[np.float64] = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return share
