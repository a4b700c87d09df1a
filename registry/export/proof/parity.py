"""Compare the outputs of an exported file with the original's. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops.metrics.samples.boxes import Boxes, iou_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.prediction.onnx_model import PredictedBoxes
    from registry.export.formats.contract import Precision

_SLACK = 0.05  # a box this far below the threshold still matches one above it
_SAME = 0.5  # minimum IoU of a match


@dataclass(frozen=True, slots=True)
class ClassParity:
    """A classifier's file compared with the original, on the same `pictures`, with so many `classes`.

    difference, mean_difference: maximum and mean absolute difference of the probabilities. agreement:
    fraction of images with the same top-1 class. accuracy, macro_f1: of the file, and of the original.
    """

    pictures: int
    difference: float
    mean_difference: float
    agreement: float
    accuracy: float
    original_accuracy: float
    macro_f1: float
    original_macro_f1: float
    classes: int

    @property
    def cost(self) -> float:
        """Loss in macro F1; negative is a gain."""
        return self.original_macro_f1 - self.macro_f1

    @property
    def judged_by(self) -> str:
        return "macro_f1"


@dataclass(frozen=True, slots=True)
class BoxParity:
    """A detector's file compared with the original, on the same `pictures`.

    objects: annotated on the images. boxes: those of either model above the score threshold. agreement:
    fraction of them that the other model also predicts: same class, IoU >= 0.5, score at most 0.05 below
    the threshold. difference, mean_difference: of the scores of matched boxes. iou, least_iou: mean and
    minimum of matched boxes. map50, map50_95: of the file (COCO, score threshold 0.001), and of the original.
    """

    pictures: int
    objects: int
    boxes: int
    agreement: float
    difference: float
    mean_difference: float
    iou: float
    least_iou: float
    map50: float
    original_map50: float
    map50_95: float
    original_map50_95: float

    @property
    def cost(self) -> float:
        """Loss in mAP50-95; negative is a gain."""
        return self.original_map50_95 - self.map50_95

    @property
    def judged_by(self) -> str:
        return "mAP50-95"


@dataclass(frozen=True, slots=True)
class JointParity:
    """A joint file compared with the original, on both tasks; each property is the worse of the two."""

    boxes: BoxParity
    classes: ClassParity

    @property
    def pictures(self) -> int:
        return self.boxes.pictures

    @property
    def agreement(self) -> float:
        return min(self.boxes.agreement, self.classes.agreement)

    @property
    def difference(self) -> float:
        return max(self.boxes.difference, self.classes.difference)

    @property
    def cost(self) -> float:
        return self._dearer.cost

    @property
    def judged_by(self) -> str:
        return self._dearer.judged_by

    @property
    def _dearer(self) -> BoxParity | ClassParity:
        return self.classes if self.classes.cost > self.boxes.cost else self.boxes


OneParity = ClassParity | BoxParity
AnyParity = OneParity | JointParity


def parts_of(parity: AnyParity) -> tuple[OneParity, ...]:
    """One for each task."""
    return (parity.boxes, parity.classes) if isinstance(parity, JointParity) else (parity,)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a file. cost: of macro F1 or mAP50-95. difference: None if reported, not judged."""

    difference: float | None
    agreement: float
    cost: float


# fp16 keeps 3 significant digits and int8 two, so a small cost is allowed and reported in the certificate
_CLASSES = {
    "fp32": Limits(1e-3, 0.999, 0.001),
    "fp16": Limits(0.05, 0.995, 0.005),
    "int8": Limits(None, 0.97, 0.01),
}
_BOXES = {
    "fp32": Limits(0.01, 0.99, 0.001),
    "fp16": Limits(None, 0.97, 0.005),  # rounding can make NMS keep another of nearly equal boxes
    "int8": Limits(None, 0.75, 0.02),
}


def nothing_in(parity: AnyParity) -> str:
    """Why `parity` shows nothing, as there was nothing to compare; else ""."""
    for part in parts_of(parity):
        if not part.pictures:
            return "there is no labelled held-out image to compare on"
        if isinstance(part, ClassParity) and part.classes < 2:
            return "there is only one class, so every answer is the same"
        if isinstance(part, BoxParity) and not part.objects:
            return f"no object is annotated on the {part.pictures} held-out images"
        if isinstance(part, BoxParity) and not part.boxes:
            return f"no box is predicted on the {part.pictures} held-out images"
    return ""


def problem_of(parity: AnyParity, precision: Precision) -> str:
    """A message if `parity` exceeds a limit of the precision; else ""."""
    said = (beyond(part, limits_of(part, precision)) for part in parts_of(parity))
    return next(filter(None, said), "")


def limits_of(parity: OneParity, precision: Precision) -> Limits:
    """The limits of a precision; below fp32 a single differing image or box is always allowed."""
    stated = (_CLASSES if isinstance(parity, ClassParity) else _BOXES)[precision.value]
    if precision == "fp32":
        return stated
    counted = parity.pictures if isinstance(parity, ClassParity) else parity.boxes
    return replace(
        stated,
        agreement=min(stated.agreement, 1 - 1.5 / max(counted, 2)),
        cost=max(stated.cost, 2 / max(parity.pictures, 1)),
    )


def beyond(parity: OneParity, limits: Limits) -> str:
    """A message if `parity` exceeds `limits`; else "". NaN exceeds a limit."""
    if limits.difference is not None and not parity.difference <= limits.difference:
        what = "probability" if isinstance(parity, ClassParity) else "score"
        return f"a {what} differs by {parity.difference:.2g}, allowed is at most {limits.difference:g}"
    if not parity.agreement >= limits.agreement:
        what = "images" if isinstance(parity, ClassParity) else "boxes"
        return f"it agrees on {parity.agreement:.2%} of {what}, required is at least {limits.agreement:.2%}"
    if not parity.cost <= limits.cost:
        return f"it loses {parity.cost:.4f} of {parity.judged_by}, allowed is at most {limits.cost:g}"
    return ""


def compare_classes(
    truth: NDArray[np.int64],
    original: NDArray[np.float32],
    given: NDArray[np.float32],
    classes: Sequence[str],
) -> ClassParity:
    """truth (N,), -1 without a label; probabilities (N, classes) of both."""
    from mlops.metrics.class_metrics import headline

    labelled = truth >= 0
    truth, original, given = truth[labelled], original[labelled], given[labelled]
    if not len(truth):
        return ClassParity(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, len(classes))
    difference = np.abs(original.astype(np.float64) - given)
    own = headline(truth, given.argmax(1).astype(np.int64), classes)
    other = headline(truth, original.argmax(1).astype(np.int64), classes)
    return ClassParity(
        pictures=len(truth),
        difference=float(difference.max(initial=0)),
        mean_difference=float(difference.mean()),
        agreement=float((original.argmax(1) == given.argmax(1)).mean()),
        accuracy=own["accuracy"],
        original_accuracy=other["accuracy"],
        macro_f1=own["macro_f1"],
        original_macro_f1=other["macro_f1"],
        classes=len(classes),
    )


@dataclass(frozen=True, slots=True)
class Matched:
    """Matched boxes of one image, of `boxes` counted: IoU and difference of scores, (n,) each."""

    iou: NDArray[np.float64]
    difference: NDArray[np.float64]
    boxes: int


def match_boxes(original: PredictedBoxes, given: PredictedBoxes, score: float) -> Matched:
    """Match in both directions: each box above `score` with the other model's box of maximum overlap.

    A pair counts once for each of its boxes above `score`.
    """
    iou, difference, boxes = [], [], 0
    for one, other in ((original, given), (given, original)):
        sure, near = one.score >= score, other.score >= score - _SLACK
        boxes += int(sure.sum())
        overlap = iou_matrix(one.corners[sure].astype(float), other.corners[near].astype(float))
        overlap *= one.class_index[sure][:, None] == other.class_index[near][None, :]
        if overlap.size:
            best = overlap.argmax(1)
            found = overlap.max(1) >= _SAME
            iou.append(overlap.max(1)[found])
            difference.append(np.abs(one.score[sure] - other.score[near][best])[found].astype(float))
    none = np.zeros(0)
    return Matched(np.concatenate([none, *iou]), np.concatenate([none, *difference]), boxes)


def compare_boxes(
    truth: Sequence[NDArray[np.float64]],
    original: Sequence[PredictedBoxes],
    given: Sequence[PredictedBoxes],
    classes: Sequence[str],
    score: float,
) -> BoxParity:
    """truth: per image (n, 5) class index and corners. Boxes of both models with score >= 0.001.

    score: the version's score threshold. Without any box, agreement and IoU are 1.
    """
    matched = [match_boxes(a, b, score) for a, b in zip(original, given, strict=True)]
    iou = np.concatenate([np.zeros(0), *(each.iou for each in matched)])
    difference = np.concatenate([np.zeros(0), *(each.difference for each in matched)])
    boxes = sum(each.boxes for each in matched)
    map50, map50_95 = mean_ap(truth, given, classes)
    other50, other50_95 = mean_ap(truth, original, classes)
    return BoxParity(
        pictures=len(truth),
        objects=sum(len(each) for each in truth),
        boxes=boxes,
        agreement=len(iou) / boxes if boxes else 1.0,
        difference=float(difference.max(initial=0)),
        mean_difference=float(difference.mean()) if len(difference) else 0.0,
        iou=float(iou.mean()) if len(iou) else 1.0,
        least_iou=float(iou.min(initial=1)),
        map50=map50,
        original_map50=other50,
        map50_95=map50_95,
        original_map50_95=other50_95,
    )


def mean_ap(
    truth: Sequence[NDArray[np.float64]], given: Sequence[PredictedBoxes], classes: Sequence[str]
) -> tuple[float, float]:
    """mAP50 and mAP50-95 over the classes that occur in `truth`; 0 without any."""
    from mlops.metrics.box_ap import coco_figures

    names = np.array([f"{index:09d}" for index in range(len(truth))])
    objects = np.concatenate([np.zeros((0, 5)), *truth])
    of_truth = np.repeat(names, [len(each) for each in truth])
    of_given = np.repeat(names, [len(each) for each in given])
    table = Boxes(
        image=np.concatenate([of_truth, of_given]),
        truth=np.arange(len(of_truth) + len(of_given)) < len(of_truth),
        class_index=np.concatenate([objects[:, 0].astype(np.int64), *(each.class_index for each in given)]),
        score=np.concatenate([np.full(len(objects), np.nan), *(each.score.astype(float) for each in given)]),
        corners=np.concatenate([objects[:, 1:], *(each.corners.astype(float) for each in given)]),
        matched=np.zeros(len(of_truth) + len(of_given), np.bool_),
    )
    if not len(objects):
        return 0.0, 0.0
    figures = coco_figures(table, classes)
    return figures.map50, figures.map50_95
