"""Metrics as text tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.result import Sheet
from mlops.metrics.box_ap import SIZES

if TYPE_CHECKING:
    from mlops.metrics.box_metrics import DetectionFigures, Point
    from mlops.metrics.class_metrics import ClassFigures, SplitGap


def detection_sheets(figures: DetectionFigures) -> tuple[Sheet, ...]:
    coco, images = figures.coco, figures.images
    digits = digits_of(figures.pictures)

    def number(value: float | None) -> str:
        return share(value, digits)

    columns = ("class", "objects", "mAP50", "mAP50-95", "precision", "recall", "F1", "F2", "TP", "FP")
    whole = coco.by_size["all"]
    rows = [("all", str(whole.objects), number(whole.ap50), number(whole.ap), *_cells(figures.point, digits))]
    for name, point in figures.by_class.items():
        own = coco.by_class.get(name)
        ap = (str(own.objects), number(own.ap50), number(own.ap)) if own else ("0", "-", "-")
        rows.append((name, *ap, *_cells(point, digits)))
    sizes = tuple(
        (size, str(own.objects), number(own.ap50), number(own.ap))
        for size, own in ((size, coco.by_size[size]) for size in SIZES[1:])
    )
    sheets = [
        Sheet("Boxes (from precision on: at the threshold, IoU 0.5)", columns, tuple(rows)),
        Sheet("Object size (small < 32², large >= 96² px)", columns[:1] + columns[1:4], sizes),
        Sheet(
            "Image-level results",
            ("", "TP", "TN", "FP", "FN", "sensitivity", "specificity", "F2", "AUC"),
            (
                (
                    "at the threshold",
                    *(str(each) for each in (images.tp, images.tn, images.fp, images.fn)),
                    *(number(each) for each in (images.sensitivity, images.specificity, images.f2)),
                    number(figures.auc),
                ),
            ),
        ),
    ]
    if figures.froc is not None:
        rates = tuple(f"{rate:g}" for rate in figures.froc.at)
        values = tuple(number(each) for each in figures.froc.at.values())
        sheets.append(
            Sheet(
                "FROC: sensitivity at a number of false positives per image",
                ("false positives", *rates, "mean"),
                (("sensitivity", *values, number(figures.froc.score)),),
            )
        )
    return tuple(sheets)


def class_sheets(
    figures: ClassFigures, gaps: Sequence[SplitGap], classes: Sequence[str]
) -> tuple[Sheet, ...]:
    scores, support = figures.scores, figures.confusion.sum(1)
    digits = digits_of(int(support.sum()))

    def number(value: float | None) -> str:
        return share(value, digits)

    columns = ("class", "images", "precision", "recall", "F1", "AUC")
    rows = []
    for index, name in enumerate(classes):
        if support[index]:
            own = (scores[f"{figure}/{name}"] for figure in ("precision", "recall", "F1"))
            auc = number(figures.auc.get(name))
            rows.append((name, str(support[index]), *(number(each) for each in own), auc))
    means = (scores.get(f"macro_{figure}") for figure in ("precision", "recall", "f1", "auc"))
    rows.append(("mean", str(int(support.sum())), *(number(each) for each in means)))
    overall = Sheet(
        "All images",
        ("accuracy", "macro F1", "macro AUC", "ECE"),
        (
            (
                number(scores["accuracy"]),
                number(scores["macro_f1"]),
                number(scores.get("macro_auc")),
                number(figures.calibration.ece),
            ),
        ),
    )
    sheets = [overall, Sheet("Classes", columns, tuple(rows))]
    if gaps:
        sheets.append(
            Sheet(
                "Train, val and held-out (train: during training, on augmented images, at the best epoch)",
                ("metric", "train", "val", "held out", "train-val", "val-test"),
                tuple(_gap(gap, digits) for gap in gaps),
            )
        )
    return tuple(sheets)


def digits_of(pictures: int) -> int:
    """Digits that resolve one image, as in reports: 3 for fewer than 1,000 images, else 4."""
    return 3 if pictures < 1000 else 4


def share(value: float | None, digits: int) -> str:
    """The formatted value; "-" if undefined."""
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def _cells(point: Point, digits: int) -> tuple[str, ...]:
    figures = (point.precision, point.recall, point.f_beta(1), point.f_beta(2))
    return (*(share(each, digits) for each in figures), str(point.true), str(point.false))


def _gap(gap: SplitGap, digits: int) -> tuple[str, ...]:
    between = gap.between()
    return (
        gap.figure,
        *(share(each, digits) for each in (gap.train, gap.val, gap.held_out)),
        *(f"{between[pair]:+.{digits}f}" if pair in between else "-" for pair in ("train-val", "val-test")),
    )
