"""A detector's plots: confusion matrices, curves over the threshold, PR and FROC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mlops.drawing.plots import draw_confusion, draw_lines, save, style
from mlops.metrics.box_metrics import RATES, DetectionFigures, Froc, box_counts
from mlops.metrics.thresholds import ThresholdCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.metrics.samples.boxes import Boxes

BACKGROUND = "background"
_GRID = np.linspace(0, 1, 501)


def draw_detector(
    boxes: Boxes, figures: DetectionFigures, classes: Sequence[str], folder: Path
) -> list[Path]:
    """Write the plots to `folder`, with Ultralytics' file names. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    named = [*classes, BACKGROUND]
    counts, shares = folder / "confusion_matrix.png", folder / "confusion_matrix_normalized.png"
    files = [
        draw_confusion(figures.confusion, named, counts, shares=False, of="boxes and missed objects"),
        draw_confusion(figures.confusion, named, shares, shares=True),
        *_curves(boxes, figures, classes, folder),
    ]
    return [*files, _froc(figures.froc, folder / "froc.png")] if figures.froc is not None else files


def _curves(boxes: Boxes, figures: DetectionFigures, classes: Sequence[str], folder: Path) -> list[Path]:
    present = [index for index, name in enumerate(classes) if name in figures.coco.by_class]
    counts = {classes[index]: box_counts(boxes, index) for index in present}
    files = []
    wanted: dict[str, tuple[str, Callable[[ThresholdCounts], NDArray[np.float64]], float]] = {
        "BoxP_curve.png": ("precision", lambda c: c.precision, np.nan),
        "BoxR_curve.png": ("recall", lambda c: c.recall, 0.0),
        "BoxF1_curve.png": ("F1", lambda c: c.f_beta(1), 0.0),
    }
    for name, (says, value, beyond) in wanted.items():
        lines = {label: (_GRID, on_grid(each, value(each), beyond)) for label, each in counts.items()}
        if not lines:
            continue
        known = mean_known(np.stack([values for _, values in lines.values()]))
        mean = (_GRID, known) if len(lines) > 1 else None
        title = f"{says} at IoU 0.5"
        files.append(
            draw_lines(lines, mean, "score threshold", says, title, folder / name, mark=figures.threshold)
        )
    envelopes = {
        f"{label} ({figures.coco.by_class[label].ap50:.3f})": envelope(each) for label, each in counts.items()
    }
    title = f"mAP50 {figures.coco.map50:.3f} (AP50 per class in brackets)"
    if envelopes:
        files.append(draw_lines(envelopes, None, "recall", "precision", title, folder / "BoxPR_curve.png"))
    return files


def mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes (C, T) with a value; NaN without any."""
    known = np.isfinite(values)
    count = known.sum(0)
    mean: NDArray[np.float64] = np.where(known, values, 0).sum(0) / np.where(count, count, np.nan)
    return mean


def on_grid(counts: ThresholdCounts, values: NDArray[np.float64], beyond: float) -> NDArray[np.float64]:
    """The values at each threshold of 0, 0.002, ... 1; `beyond`: above the highest score."""
    at = np.searchsorted(counts.threshold, _GRID, side="left")
    held: NDArray[np.float64] = np.append(values, beyond)[at]
    return held


def envelope(counts: ThresholdCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and the highest precision at that recall or beyond, as used for AP."""
    if not len(counts.precision):  # no box of this class was predicted
        return np.zeros(2), np.zeros(2)
    recall = np.concatenate([[0.0], counts.recall[::-1]])
    precision = np.concatenate([counts.precision[-1:], counts.precision[::-1]])
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return np.append(recall, recall[-1]), np.append(highest, 0.0)


def _froc(found: Froc, file: Path) -> Path:
    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    axes.step(
        found.false_per_image, found.sensitivity, where="post", linewidth=1.8, label="all boxes", **style(0)
    )
    rates, values = list(found.at), list(found.at.values())
    axes.plot(rates, values, "o", color="black", clip_on=False, zorder=3, label="the seven rates")
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
    axes.set(
        xlabel="false positives per image (mean)",
        ylabel="sensitivity",
        title=f"FROC; mean over the seven rates {found.score:.3f}",
        xlim=(RATES[0] / 2, RATES[-1] * 2),
        ylim=(0, 1.02),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return save(figure, file)
