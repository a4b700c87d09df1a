"""A detector's metrics from its table of boxes, FROC included. Pure; AP is in `box_ap`.

FROC is the free-response curve of computer-aided detection (Bunch et al. 1978); its summary is the mean
sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false boxes per image (LUNA16: Setio et al. 2017, 'Validation,
comparison, and combination of algorithms for automatic detection of pulmonary nodules').
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.metrics.box_ap import SIZES, CocoFigures, coco_figures
from mlops.metrics.samples.boxes import Boxes, pair_up
from mlops.metrics.thresholds import ThresholdCounts, ThresholdRule, choose, counts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Point:
    """Counts of the boxes above a threshold, at IoU 0.5: true, false, missed."""

    true: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        return _share(self.true, self.true + self.false)

    @property
    def recall(self) -> float:
        return _share(self.true, self.true + self.missed)

    def f_beta(self, beta: float) -> float:
        weighed = (1 + beta**2) * self.true
        return _share(weighed, weighed + beta**2 * self.missed + self.false)


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """Image-level results: whether an image has a predicted box, and whether it has an annotated one."""

    tp: int
    tn: int
    fp: int
    fn: int

    @property
    def sensitivity(self) -> float:
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        return _share(self.tn, self.tn + self.fp)

    @property
    def f2(self) -> float:
        return _share(5 * self.tp, 5 * self.tp + 4 * self.fn + self.fp)


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """threshold: score threshold of `point`, `by_class`, `images` and `confusion`.

    confusion: (classes + 1, classes + 1), true class by row, predicted by column, the last one background: a
    false box is in the last row, a missed object in the last column. auc: with an image's highest score as
    its score; NaN if all images, or none, have objects. froc: None if not requested.
    """

    pictures: int
    coco: CocoFigures
    threshold: float
    point: Point
    by_class: Mapping[str, Point]
    images: ImageCounts
    auc: float
    confusion: NDArray[np.int64]
    froc: Froc | None


def detection_figures(
    boxes: Boxes,
    pictures: Sequence[str],
    classes: Sequence[str],
    threshold: float,
    *,
    with_froc: bool = False,
) -> DetectionFigures:
    """pictures: all tested images, including those without a box."""
    sure = ~boxes.truth & (boxes.score >= threshold)
    by_class = {
        name: _point(boxes, sure, boxes.class_index == index)
        for index, name in enumerate(classes)
        if (boxes.truth & (boxes.class_index == index)).any() or (sure & (boxes.class_index == index)).any()
    }
    score, positive = surest(boxes, pictures)
    flagged = score >= threshold
    images = ImageCounts(
        tp=int((positive & flagged).sum()),
        tn=int((~positive & ~flagged).sum()),
        fp=int((~positive & flagged).sum()),
        fn=int((positive & ~flagged).sum()),
    )
    return DetectionFigures(
        pictures=len(pictures),
        coco=coco_figures(boxes, classes),
        threshold=threshold,
        point=_point(boxes, sure, np.ones(len(sure), np.bool_)),
        by_class=by_class,
        images=images,
        auc=_auc(score, positive),
        confusion=confusion(boxes, len(classes), threshold),
        froc=froc(box_counts(boxes), len(pictures)) if with_froc else None,
    )


def chosen_threshold(rule: ThresholdRule, boxes: Boxes, pictures: Sequence[str]) -> float | None:
    """The threshold by `rule` on these boxes; None if no score satisfies it."""
    if rule.of == "images":
        score, positive = surest(boxes, pictures)
        there = score >= 0
        return choose(rule, counts_of(score[there], positive[there], int(positive.sum())))
    return choose(rule, box_counts(boxes))


def box_counts(boxes: Boxes, class_index: int | None = None) -> ThresholdCounts:
    """The boxes of all classes together, or of one, at every score that occurs."""
    own = np.ones(len(boxes.truth), np.bool_) if class_index is None else boxes.class_index == class_index
    given = own & ~boxes.truth
    return counts_of(boxes.score[given], boxes.matched[given], int((own & boxes.truth).sum()))


def surest(boxes: Boxes, pictures: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each image: its highest score (-1 without a box), and whether it has an annotated object."""
    place = {name: index for index, name in enumerate(pictures)}
    at = np.array([place[name] for name in boxes.image.tolist()], np.int64)
    score, positive = np.full(len(place), -1.0), np.zeros(len(place), np.bool_)
    np.maximum.at(score, at[~boxes.truth], boxes.score[~boxes.truth])
    positive[at[boxes.truth]] = True
    return score, positive


def confusion(boxes: Boxes, classes: int, threshold: float) -> NDArray[np.int64]:
    """Boxes above `threshold` paired with objects of any class at IoU 0.5, highest score first."""
    partner = pair_up(boxes, threshold=threshold, any_class=True).partner
    sure = np.flatnonzero(~boxes.truth & (boxes.score >= threshold))
    truths = np.flatnonzero(boxes.truth)
    class_of = np.append(boxes.class_index, classes)  # a partner of -1 is the background
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(matrix, (class_of[partner[sure]], boxes.class_index[sure]), 1)
    missed = truths[partner[truths] < 0]
    np.add.at(matrix, (boxes.class_index[missed], np.full(len(missed), classes)), 1)
    return matrix


def as_metrics(figures: DetectionFigures) -> dict[str, float]:
    """Every metric by its name on the run, without the prefix of the split and without NaN."""
    coco, point, images = figures.coco, figures.point, figures.images
    found: dict[str, float] = {"mAP50": coco.map50, "mAP50-95": coco.map50_95}
    for size in SIZES[1:]:
        found |= {f"mAP50/{size}": coco.by_size[size].ap50, f"mAP50-95/{size}": coco.by_size[size].ap}
    for name, ap in coco.by_class.items():
        found |= {f"AP50/{name}": ap.ap50, f"AP50-95/{name}": ap.ap}
    found |= {"chosen/threshold": figures.threshold, **_of_point("chosen", point)}
    for name, own in figures.by_class.items():
        found |= {f"{figure}/{name}": value for figure, value in _of_point("chosen", own).items()}
    counted = {"TP": images.tp, "TN": images.tn, "FP": images.fp, "FN": images.fn}
    found |= {f"images/{name}": float(value) for name, value in counted.items()}
    found |= {"images/sensitivity": images.sensitivity, "images/specificity": images.specificity}
    found |= {"images/F2": images.f2, "images/AUC": figures.auc}
    if figures.froc is not None:
        found["froc/score"] = figures.froc.score
        found |= {f"froc/sensitivity/{rate:g}": value for rate, value in figures.froc.at.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _of_point(under: str, point: Point) -> dict[str, float]:
    return {
        f"{under}/precision": point.precision,
        f"{under}/recall": point.recall,
        f"{under}/F1": point.f_beta(1),
        f"{under}/F2": point.f_beta(2),
    }


def _point(boxes: Boxes, sure: NDArray[np.bool_], own: NDArray[np.bool_]) -> Point:
    true = int((sure & own & boxes.matched).sum())
    return Point(true, int((sure & own).sum()) - true, int((boxes.truth & own).sum()) - true)


def _auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score)) if 0 < positive.sum() < len(positive) else float("nan")


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Froc:
    """false_per_image, sensitivity: (K,) from the highest threshold down, starting at 0 and 0.

    at: rate -> sensitivity. score: their mean.
    """

    false_per_image: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    at: Mapping[float, float]
    score: float


def froc(counts: ThresholdCounts, pictures: int) -> Froc:
    """From the counts of all boxes on `pictures` images (see `thresholds.counts_of`).

    The sensitivity at a rate is the highest one of all thresholds with at most as many false boxes.
    """
    false = np.concatenate([[0.0], counts.false[::-1] / max(pictures, 1)])
    sensitivity = np.concatenate([[0.0], counts.recall[::-1]])
    at = {rate: float(sensitivity[false <= rate].max()) for rate in RATES}
    return Froc(false, sensitivity, at, float(np.mean(list(at.values()))))
