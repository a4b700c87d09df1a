"""A classifier's metrics from its predictions, by scikit-learn, and its calibration. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.metrics.samples.sample_tables import ClassTable

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
class SplitGap:
    """A metric by split: in training (augmented images, at the best epoch), on val, and held-out."""

    figure: str
    train: float | None
    val: float | None
    held_out: float

    def between(self) -> dict[str, float]:
        """`train-val`, `val-test` and `train-test`, in the unit of the metric, if both are known."""
        sides = {"train": self.train, "val": self.val, "test": self.held_out}
        pairs = (("train", "val"), ("val", "test"), ("train", "test"))
        found = {}
        for one, other in pairs:
            higher, lower = sides[one], sides[other]
            if higher is not None and lower is not None:
                found[f"{one}-{other}"] = higher - lower
        return found


def class_figures(answers: ClassTable) -> ClassFigures:
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


def as_metrics(figures: ClassFigures, gaps: tuple[SplitGap, ...] = ()) -> dict[str, float]:
    """Every metric by its name on the run, without the prefix of the split and without NaN."""
    found = {
        **figures.scores,
        **{f"AUC/{name}": value for name, value in figures.auc.items()},
        "calibration/ECE": figures.calibration.ece,
        "calibration/MCE": figures.calibration.worst,
        **{f"gap/{name}/{gap.figure}": value for gap in gaps for name, value in gap.between().items()},
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def headline(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str], *, per_class: bool = False
) -> dict[str, float]:
    """`accuracy` and `macro_f1` of class indices (N,); with `per_class` also `F1/<class>`.

    macro_f1 is the mean over the classes in `truth` or `predicted`; a class without images has no F1.
    """
    scores = {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": _macro_f1(truth, predicted),
    }
    if per_class:
        present = np.unique(truth)
        f1 = f1_score(truth, predicted, labels=present, average=None, zero_division=0)
        scores |= {f"F1/{classes[index]}": float(value) for index, value in zip(present, f1, strict=True)}
    return scores


def per_source(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], sources: Sequence[str]
) -> dict[str, float]:
    """`macro_f1/<source>` for each data set of the images (N,); {} if there is only one."""
    names = np.asarray(sources)
    if len(set(sources)) < 2:
        return {}
    return {
        f"macro_f1/{name}": _macro_f1(truth[names == name], predicted[names == name])
        for name in sorted(set(sources))
    }


def held_out(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    sources: Sequence[str] = (),
) -> dict[str, float]:
    """All metrics of a held-out split: truth (N,), probabilities (N, C), sources (N,) or ().

    In addition to `headline` and `per_source`: `loss` (mean negative log probability of the true class),
    `macro_precision`, `macro_recall`, `macro_auc` (one against the rest, if defined),
    `precision/<class>` and `recall/<class>`.
    """
    predicted = probabilities.argmax(1).astype(np.int64)
    present = np.unique(truth)
    precision, recall, _, _ = precision_recall_fscore_support(
        truth, predicted, labels=present, zero_division=0
    )
    names = [classes[index] for index in present]
    true_class = probabilities[np.arange(len(truth)), truth]
    scores = {
        "loss": float(-np.log(np.clip(true_class, 1e-12, None)).mean()),
        **headline(truth, predicted, classes, per_class=True),
        "macro_precision": float(np.mean(precision)),
        "macro_recall": float(np.mean(recall)),
        **{f"precision/{name}": float(value) for name, value in zip(names, precision, strict=True)},
        **{f"recall/{name}": float(value) for name, value in zip(names, recall, strict=True)},
        **per_source(truth, predicted, sources),
    }
    if len(present) > 1:
        against_rest = [roc_auc_score(truth == index, probabilities[:, index]) for index in present]
        scores["macro_auc"] = float(np.mean(against_rest))
    return scores


def _macro_f1(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    return float(f1_score(truth, predicted, average="macro", zero_division=0))


BINS = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of B equal bins of confidence: count, mean confidence and accuracy (B,), NaN for an empty one.

    ece: expected calibration error, the mean gap between the two, weighted by count (Guo et al. 2017,
    'On Calibration of Modern Neural Networks', equation 3). worst: the largest gap of a bin (MCE).
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    ece: float
    worst: float


def calibration(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = BINS
) -> Calibration:
    """truth (N,) class indices, probabilities (N, C). A bin contains confidences above its lower edge."""
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == truth
    edges = np.linspace(0, 1, bins + 1)
    at = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins)
    mean, accuracy = (
        np.bincount(at, weights=each, minlength=bins) / np.where(count, count, np.nan)
        for each in (confidence, right.astype(np.float64))
    )
    gap = np.abs(accuracy - mean)
    ece = float(np.nansum(gap * count) / max(len(truth), 1))
    worst = float(np.nanmax(gap)) if len(truth) else float("nan")
    return Calibration(edges, count, mean, accuracy, ece, worst)
