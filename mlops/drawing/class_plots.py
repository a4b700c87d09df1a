"""A classifier's reliability and ROC curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from mlops.drawing.plots import COLOURS, draw_classifier, draw_lines, save

if TYPE_CHECKING:
    from mlops.metrics.class_metrics import Calibration, ClassFigures
    from mlops.metrics.samples.sample_tables import ClassTable


def draw_answers(answers: ClassTable, figures: ClassFigures, folder: Path) -> list[Path]:
    """Write the plots to `folder`. Returns the files."""
    files = draw_classifier(answers.truth, answers.probabilities, answers.classes, folder)
    files.append(_reliability(figures.calibration, folder / "reliability.png"))
    lines = {}
    for index, name in enumerate(answers.classes):
        if name in figures.auc:
            false, true, _ = roc_curve(answers.truth == index, answers.probabilities[:, index])
            lines[f"{name} ({figures.auc[name]:.4f})"] = (false, true)
    if lines:
        title = f"mean AUC {figures.scores['macro_auc']:.4f} (one class against the rest, AUC in brackets)"
        xlabel, ylabel = "false positive rate", "true positive rate (recall)"
        files.append(draw_lines(lines, None, xlabel, ylabel, title, folder / "ROC_curve.png"))
    return files


def _reliability(found: Calibration, file: Path) -> Path:
    figure = Figure(figsize=(6, 6.5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left, width = found.edges[:-1], np.diff(found.edges)
    above.bar(
        left, found.accuracy, width, align="edge", color=COLOURS[5], edgecolor="white", label="accuracy"
    )
    above.plot([0, 1], [0, 1], color="black", linestyle="--", label="perfectly calibrated")
    held = found.count > 0
    above.plot(found.confidence[held], found.accuracy[held], "o", color=COLOURS[0], label="mean confidence")
    above.set(ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1))
    above.set_title(f"expected calibration error {found.ece:.4f} ({len(left)} bins)")
    above.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    below.bar(left, np.where(held, found.count, np.nan), width, align="edge", color=COLOURS[0])
    below.set(xlabel="confidence (largest probability)", ylabel="images", yscale="log")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    return save(figure, file)
