"""Common style and colours of plots, and the plots of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DPI = 120
MOST_NAMED = 20  # maximum number of classes in a legend or a matrix


def draw_classifier(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], classes: Sequence[str], folder: Path
) -> list[Path]:
    """Both confusion matrices and the P, R, F1 and PR curves, under Ultralytics' file names.

    truth (N,), probabilities (N, C). Returns the files, in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts, shares = folder / "confusion_matrix.png", folder / "confusion_matrix_normalized.png"
    matrix = confusion_matrix(truth, probabilities.argmax(1), labels=np.arange(len(classes)))
    return [
        draw_confusion(matrix, classes, counts, shares=False),
        draw_confusion(matrix, classes, shares, shares=True),
        *_curves(truth, probabilities, classes, folder),
    ]


def save(figure: Figure, file: Path) -> Path:
    figure.savefig(file, dpi=_DPI, bbox_inches="tight")
    return file


def draw_confusion(
    matrix: NDArray[np.int64], classes: Sequence[str], file: Path, *, shares: bool, of: str = "images"
) -> Path:
    """matrix (C, C): true class by row, predicted by column. shares: fractions per row instead of counts."""
    side = min(max(4.5, 0.75 * len(classes) + 2), 16)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    of_row = matrix / np.where(matrix.sum(1, keepdims=True), matrix.sum(1, keepdims=True), np.nan)
    ConfusionMatrixDisplay(of_row if shares else matrix, display_labels=list(classes)).plot(
        include_values=len(classes) <= MOST_NAMED,
        values_format=".2f" if shares else "d",
        xticks_rotation=45,
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
    title = "fraction of the true class" if shares else f"{int(matrix.sum())} {of}"
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    return save(figure, file)


def _curves(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], classes: Sequence[str], folder: Path
) -> list[Path]:
    grid = np.linspace(0, 1, 501)
    present = [int(index) for index in np.unique(truth)]
    at_threshold = {index: _at_thresholds(truth == index, probabilities[:, index], grid) for index in present}
    wanted: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
        "P_curve.png": ("precision", lambda p, r: p),
        "R_curve.png": ("recall", lambda p, r: r),
        "F1_curve.png": ("F1", lambda p, r: 2 * p * r / np.maximum(p + r, 1e-12)),
    }
    files = []
    for name, (says, value) in wanted.items():
        lines = {classes[index]: (grid, value(*at_threshold[index])) for index in present}
        mean = np.mean([values for _, values in lines.values()], axis=0)
        best = int(mean.argmax())
        title = f"all classes: {mean[best]:.3f} at {grid[best]:.2f}"
        files.append(draw_lines(lines, (grid, mean), "confidence threshold", says, title, folder / name))
    pr = {}
    for index in present:
        precision, recall, _ = precision_recall_curve(truth == index, probabilities[:, index])
        pr[classes[index]] = (recall, precision)
    ap = np.mean([average_precision_score(truth == index, probabilities[:, index]) for index in present])
    title = f"mean average precision {ap:.3f}"
    return [*files, draw_lines(pr, None, "recall", "precision", title, folder / "PR_curve.png")]


def _at_thresholds(
    positive: NDArray[np.bool_], score: NDArray[np.float32], grid: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall of a class at each threshold of `grid`.

    Precision is 1 if no score reaches the threshold.
    """
    order = np.sort(score)
    order_positive = np.sort(score[positive])
    kept = len(score) - np.searchsorted(order, grid, side="left")
    hits = len(order_positive) - np.searchsorted(order_positive, grid, side="left")
    precision = np.where(kept > 0, hits / np.maximum(kept, 1), 1.0)
    return precision, hits / max(len(order_positive), 1)


def draw_lines(
    lines: dict[str, tuple[Any, Any]],
    mean: tuple[Any, Any] | None,
    xlabel: str,
    ylabel: str,
    title: str,
    file: Path,
    *,
    mark: float | None = None,
) -> Path:
    """One line per class, and their mean in black; both axes from 0 to 1. mark: a chosen threshold."""
    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    for i, (name, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, label=name if i < MOST_NAMED else None, linewidth=1.2, **style(i))
    if mean is not None:
        axes.plot(*mean, color="black", linewidth=2.5, label="mean of the classes")
    if mark is not None:
        axes.axvline(mark, color="#555555", linestyle="--", linewidth=1.2, label=f"chosen: {mark:.3f}")
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return save(figure, file)


# Okabe and Ito's colours, readable for colour-blind people; further lines change their dash
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C00", "#000000")
DASHES = ("-", "--", ":", "-.")


def style(index: int) -> dict[str, Any]:
    """Colour and dash of line number `index`; the first 32 are distinct."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index // len(COLOURS) % len(DASHES)],
    }
