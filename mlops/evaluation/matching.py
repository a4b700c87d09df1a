"""Which predicted boxes are true, by COCO's rule, at several IoUs at once.

Picture by picture and class by class the surest box comes first and takes, of the objects that are still free
at that IoU, the one it overlaps most (pycocotools' `COCOeval.evaluateImg` without crowds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.boxes import iou_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.detections import Detections

IOUS: tuple[float, ...] = tuple(
    float(each) for each in np.linspace(0.5, 0.95, 10)
)  # pycocotools' own numbers


def match(boxes: Detections, ious: tuple[float, ...] = IOUS) -> NDArray[np.bool_]:
    """(IoUs, P): whether each prediction is true at each of `ious`."""
    matched = np.zeros((len(ious), len(boxes.score)), np.bool_)
    limits = np.minimum(np.asarray(ious), 1 - 1e-10)
    pictures = len(boxes.pictures)
    truth_key = boxes.truth_class * pictures + boxes.truth_picture
    key = boxes.class_index * pictures + boxes.picture
    truth_order, order = np.argsort(truth_key, kind="stable"), np.argsort(key, kind="stable")
    sorted_truths, sorted_keys = truth_key[truth_order], key[order]
    for wanted in np.intersect1d(truth_key, key):
        truths = truth_order[slice(*np.searchsorted(sorted_truths, (wanted, wanted + 1)))]
        given = order[slice(*np.searchsorted(sorted_keys, (wanted, wanted + 1)))]
        iou = iou_matrix(boxes.box[given], boxes.truth_box[truths])
        free = np.ones((len(ious), len(truths)), np.bool_)
        for at, row in zip(given, iou, strict=True):
            if row.max() < limits[0]:
                continue
            open_to = np.where(free, row, -1.0)
            nearest = open_to.shape[1] - 1 - open_to[:, ::-1].argmax(1)  # of equals the last, as pycocotools
            hit = open_to[np.arange(len(ious)), nearest] >= limits
            matched[hit, at] = True
            free[hit, nearest[hit]] = False
    return matched
