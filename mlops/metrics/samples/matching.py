"""Detections as arrays, matched at each IoU by COCO's rule, and counted for each image.

COCO's rule: within an image and a class, boxes in descending order of score take, of the objects still free,
the one with the highest IoU, if it is high enough. This serial dictatorship has the same result as deferred
acceptance (Gale and Shapley 1962) when every object prefers the box with the highest score: all boxes propose
at once, an object keeps the best of them, the refused propose to their next best, until nobody is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mlops.metrics.samples.boxes import Boxes


@dataclass(frozen=True, slots=True)
class Detections:
    """T annotated boxes and P predicted ones on M images.

    pictures: (M,) names, sorted. truth_picture, picture: (T,), (P,) indices into it. truth_class,
    class_index: (T,), (P,). truth_box, box: (T, 4), (P, 4) x1, y1, x2, y2 in pixels. score: (P,).
    Predictions are sorted by class, then by descending score, then by image as in pycocotools, then in the
    order of the table.
    """

    pictures: NDArray[np.str_]
    truth_picture: NDArray[np.int64]
    truth_class: NDArray[np.int64]
    truth_box: NDArray[np.float64]
    picture: NDArray[np.int64]
    class_index: NDArray[np.int64]
    score: NDArray[np.float64]
    box: NDArray[np.float64]

    def on(self, pictures: NDArray[np.str_]) -> Detections:
        """The same boxes with the image list `pictures` (sorted, a superset of this one's)."""
        return self.named(self.pictures, pictures)

    def named(self, names: NDArray[np.str_], pictures: NDArray[np.str_]) -> Detections:
        """As `on`, with `names` (M,) for the images of this object."""
        place = np.searchsorted(pictures, names)
        return replace(
            self, pictures=pictures, truth_picture=place[self.truth_picture], picture=place[self.picture]
        )


def detections_of(boxes: Boxes) -> Detections:
    """From the rows of a table (see `mlops.metrics.samples.boxes`)."""
    names, picture = np.unique(boxes.image, return_inverse=True)
    return _sorted(names, picture, boxes.truth, boxes.class_index, boxes.score, boxes.corners)


def read_detections(file: Path) -> tuple[Detections, dict[int, str]]:
    """The boxes of a `boxes.parquet`, and the class names that occur in it, by index.

    Each image name is converted to a number only once, so a million rows take a second. Raises OSError,
    ValueError (including pyarrow's errors) or KeyError for another file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sides = ("x1", "y1", "x2", "y2")
    wanted = ["image", "kind", "class", "class_index", "score", *sides]
    table = pq.read_table(file, columns=wanted, read_dictionary=["image", "kind", "class"])
    missing = [name for name in wanted if name not in table.schema.names]
    if missing:
        raise KeyError(f"no column {missing[0]}")
    coded = {name: _codes(table[name], pa) for name in ("image", "kind", "class")}
    class_index = table["class_index"].to_numpy().astype(np.int64)
    kinds, kind = coded["kind"]
    named, class_code = coded["class"]
    detections = _sorted(
        *coded["image"],
        np.array([name == "truth" for name in kinds], np.bool_)[kind],
        class_index,
        table["score"].to_numpy(zero_copy_only=False).astype(np.float64),
        np.stack([table[side].to_numpy() for side in sides], axis=1).astype(np.float64),
    )
    index_of = np.full(len(named), -1)
    index_of[class_code] = class_index
    return detections, {int(index): str(name) for index, name in zip(index_of, named, strict=True)}


def _codes(column: object, pa: object) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """A dictionary column as (names, sorted) and each row's index among them."""
    whole = column.combine_chunks()  # type: ignore[attr-defined]
    if isinstance(whole, pa.ChunkedArray):  # type: ignore[attr-defined]
        whole = pa.concat_arrays(whole.chunks)  # type: ignore[attr-defined]
    names = np.array(whole.dictionary.to_pylist(), dtype=str)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    codes = whole.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return names[order], place[codes] if len(codes) else codes


def _sorted(
    names: NDArray[np.str_],
    picture: NDArray[np.int64],
    truth: NDArray[np.bool_],
    class_index: NDArray[np.int64],
    score: NDArray[np.float64],
    corners: NDArray[np.float64],
) -> Detections:
    given = np.flatnonzero(~truth)
    given = given[np.lexsort((picture[given], -score[given], class_index[given]))]
    return Detections(
        pictures=names,
        truth_picture=picture[truth],
        truth_class=class_index[truth],
        truth_box=corners[truth],
        picture=picture[given],
        class_index=class_index[given],
        score=score[given],
        box=corners[given],
    )


IOUS = tuple(float(iou) for iou in np.linspace(0.5, 0.95, 10))  # exactly pycocotools' values

_PAIRS = 2_000_000  # processed at a time


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Predictions and objects with sufficient IoU, (N,) each: by prediction, its best object first."""

    given: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]


def match(boxes: Detections, ious: tuple[float, ...] = IOUS) -> NDArray[np.bool_]:
    """Whether each prediction is true at each IoU: (len(ious), P). An object is found at most once."""
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
    asked = np.flatnonzero(objects[cell])  # predictions on images with an object of their class
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
    best_first = np.lexsort((-truth, -iou, given))  # of two equal objects pycocotools takes the later
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
    """(predictions,): which of them have an object at the end. A lower index has a higher score."""
    near = pairs.iou >= min(iou, 1 - 1e-10)
    truth, given = pairs.truth[near], pairs.given[near]
    at = np.flatnonzero(np.diff(given, prepend=-1))  # the first object of each box
    box, end = given[at], np.append(at[1:], len(truth))
    holder = np.full(truths, predictions)  # of each object: none yet
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


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts on each of M images at a threshold, (M,) each.

    objects: annotated; found: objects matched by a box of their class. given: boxes of any class.
    """

    objects: NDArray[np.int64]
    found: NDArray[np.int64]
    given: NDArray[np.int64]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether the image has an annotated object."""
        return self.objects > 0

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Whether the image has a predicted box."""
        return self.given > 0

    @property
    def recall(self) -> float:
        """Found of all objects; NaN without any."""
        total = int(self.objects.sum())
        return float(self.found.sum() / total) if total else float("nan")

    @property
    def patch_f2(self) -> float:
        """Image-level F2: 5 TP / (5 TP + 4 FN + FP); NaN if that is 0 / 0."""
        hit, missed = int((self.positive & self.flagged).sum()), int((self.positive & ~self.flagged).sum())
        over = 5 * hit + 4 * missed + int((~self.positive & self.flagged).sum())
        return 5 * hit / over if over else float("nan")


def count_at(boxes: Detections, threshold: float, matched: NDArray[np.bool_] | None = None) -> Counted:
    """Count on each of `boxes.pictures` with boxes of at least `threshold`, matched at IoU 0.5.

    matched: (P,) whether each prediction is true, if known.
    An image without rows (no annotated and no predicted box) is a true negative, which affects neither
    metric.
    """
    sure = boxes.score >= threshold
    true = match(boxes, IOUS[:1])[0] if matched is None else matched
    hit = true & sure  # a lower score takes no object from a higher one
    objects, found, given = (
        np.bincount(pictures, minlength=len(boxes.pictures))
        for pictures in (boxes.truth_picture, boxes.picture[hit], boxes.picture[sure])
    )
    return Counted(objects, found, given)
