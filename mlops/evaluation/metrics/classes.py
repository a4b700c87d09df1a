"""A classifier's figures from its table of probabilities, beside those of `classification`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score

from mlops.evaluation.metrics.calibration import Calibration, calibration
from mlops.evaluation.metrics.classification import held_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.samples.tables import Answers

HEADLINE = ("accuracy", "macro_f1")


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """scores: of `classification.held_out`. auc: class -> area under the ROC, one against the rest.

    confusion: (C, C), true class by row.
    """

    pictures: int
    scores: Mapping[str, float]
    auc: Mapping[str, float]
    calibration: Calibration
    confusion: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gap:
    """A figure on the splits: in training (augmented pictures, at the best epoch), on val, held out."""

    figure: str
    train: float | None
    val: float | None
    held_out: float

    def between(self) -> dict[str, float]:
        """`train-val`, `val-test` and `train-test`, in the figure's own unit, where both are known."""
        sides = {"train": self.train, "val": self.val, "test": self.held_out}
        pairs = (("train", "val"), ("val", "test"), ("train", "test"))
        found = {}
        for one, other in pairs:
            higher, lower = sides[one], sides[other]
            if higher is not None and lower is not None:
                found[f"{one}-{other}"] = higher - lower
        return found


def class_figures(answers: Answers) -> ClassFigures:
    truth, given = answers.truth, answers.probabilities
    present = np.unique(truth)
    auc = {}
    if len(present) > 1:
        auc = {
            answers.classes[index]: float(roc_auc_score(truth == index, given[:, index])) for index in present
        }
    sources = answers.source.tolist()
    return ClassFigures(
        pictures=len(truth),
        scores=held_out(truth, given, answers.classes, sources),
        auc=auc,
        calibration=calibration(truth, given),
        confusion=confusion_matrix(truth, answers.predicted, labels=np.arange(len(answers.classes))),
    )


def as_metrics(figures: ClassFigures, gaps: tuple[Gap, ...] = ()) -> dict[str, float]:
    """Every figure by its name on the run, without the split's name before it. NaN is left out."""
    found = {
        **figures.scores,
        **{f"AUC/{name}": value for name, value in figures.auc.items()},
        "calibration/ECE": figures.calibration.ece,
        "calibration/MCE": figures.calibration.worst,
        **{f"gap/{name}/{gap.figure}": value for gap in gaps for name, value in gap.between().items()},
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}
