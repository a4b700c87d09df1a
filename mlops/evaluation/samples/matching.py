"""Which predictions are true at each IoU, by COCO's rule, for a whole table in a few array operations.

The rule: within a picture and a class the surest box comes first and takes, of the objects still free, the
one that it overlaps most, if enough. That serial dictatorship is also what deferred acceptance (Gale and
Shapley 1962) ends in when every object prefers the surest box: all boxes propose at once, an object keeps
the surest of them, the refused propose to their next best, until nobody is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.samples.detections import Detections

IOUS = tuple(float(iou) for iou in np.linspace(0.5, 0.95, 10))  # pycocotools' own numbers, to the last bit

_PAIRS = 2_000_000  # looked at in one go


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Predictions and objects that overlap enough, (N,) each: by prediction, its best object first."""

    given: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]


def match(boxes: Detections, ious: tuple[float, ...] = IOUS) -> NDArray[np.bool_]:
    """Whether each prediction is true at each IoU: (len(ious), P). An object is found once at most."""
    pairs = _overlapping(boxes, min(ious))
    return np.stack([_taken(pairs, iou, len(boxes.score), len(boxes.truth_class)) for iou in ious])


def _overlapping(boxes: Detections, least: float) -> _Pairs:
    classes = 1 + int(max(boxes.class_index.max(initial=0), boxes.truth_class.max(initial=0)))
    cells = classes * len(boxes.pictures)
    cell = boxes.picture * classes + boxes.class_index
    truth_cell = boxes.truth_picture * classes + boxes.truth_class
    order = np.argsort(truth_cell, kind="stable")
    objects = np.bincount(truth_cell, minlength=cells)
    first = np.cumsum(objects) - objects
    asked = np.flatnonzero(objects[cell])  # predictions where an object of their class is
    count = objects[cell[asked]]
    ends = np.cumsum(count)
    parts = []
    start = 0
    while start < len(asked):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        own = count[start:stop]
        given = np.repeat(asked[start:stop], own)
        within = np.arange(len(given)) - np.repeat(np.cumsum(own) - own, own)
        truth = order[first[cell[given]] + within]
        iou = _iou(boxes.box[given], boxes.truth_box[truth])
        near = iou >= least
        parts.append((given[near], truth[near], iou[near]))
        start = stop
    if not parts:
        none = np.zeros(0, np.int64)
        return _Pairs(none, none, np.zeros(0))
    given, truth, iou = (np.concatenate(each) for each in zip(*parts, strict=True))
    best_first = np.lexsort((-truth, -iou, given))  # of two objects alike pycocotools takes the later
    return _Pairs(given[best_first], truth[best_first], iou[best_first])


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each row of a (N, 4) with the same row of b: (N,)."""
    wide = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    high = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
    union = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]) + (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) - shared
    iou: NDArray[np.float64] = shared / np.where(union > 0, union, 1)
    return iou


def _taken(pairs: _Pairs, iou: float, predictions: int, truths: int) -> NDArray[np.bool_]:
    """(predictions,): which of them hold an object in the end. A lower number is surer."""
    near = pairs.iou >= min(iou, 1 - 1e-10)
    truth, given = pairs.truth[near], pairs.given[near]
    at = np.flatnonzero(np.diff(given, prepend=-1))  # where each box's own objects begin
    box, end = given[at], np.append(at[1:], len(truth))
    holder = np.full(truths, predictions)  # of each object: nobody yet
    holds = np.full(len(box), -1)
    free = np.arange(len(box))
    while len(free):
        wanted = truth[at[free]]
        np.minimum.at(holder, wanted, box[free])
        holds[free] = wanted
        lost = np.flatnonzero((holds >= 0) & (holder[holds] != box))
        holds[lost] = -1
        at[lost] += 1
        free = lost[at[lost] < end[lost]]
    hit = np.zeros(predictions, np.bool_)
    hit[box[holds >= 0]] = True
    return hit
