"""A classifier's figures from what it predicted: pure functions over arrays, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def headline(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str], *, per_class: bool = False
) -> dict[str, float]:
    """`accuracy` and `macro_f1` of class indices (N,); with `per_class` also `F1/<class>`.

    macro_f1 is the plain mean over the classes that occur in `truth` or `predicted`; a class that no
    picture has gets no F1 of its own.
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
    """`macro_f1/<source>` for each data set that the pictures (N,) came from; nothing where there is one."""
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
    """All figures of a held-out split: truth (N,), probabilities (N, C), sources (N,) or ().

    Beside `headline` and `per_source`: `loss` (mean negative log probability of the true class),
    `macro_precision`, `macro_recall`, `macro_auc` (one against the rest, where it is defined),
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
