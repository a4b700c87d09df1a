"""Two classifiers' answers to the same pictures, as what the paired bootstrap draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from mlops.evaluation.statistics.paired import Pairing, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

ClassFigure: TypeAlias = Literal["macro_f1", "accuracy"]
CLASS_FIGURES: tuple[ClassFigure, ...] = ("macro_f1", "accuracy")


def pair_classifiers(
    truth: NDArray[np.int64],
    candidate: NDArray[np.int64],
    champion: NDArray[np.int64],
    figure: ClassFigure = "macro_f1",
) -> Pairing:
    """Class indices (N,) each. A unit is a cell of (truth, candidate, champion): all that a score sees.

    `macro_f1` is scikit-learn's: the mean over the classes that occur in the draw's truth or answers.
    """
    cells, counts = np.unique(np.stack([truth, candidate, champion], axis=1), axis=0, return_counts=True)
    score = {"macro_f1": _macro_f1, "accuracy": _accuracy}[figure]
    return Pairing(counts, score(cells[:, 0], cells[:, 1]), score(cells[:, 0], cells[:, 2]))


def _macro_f1(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> Score:
    classes = np.union1d(truth, answer)
    is_truth = (truth[:, None] == classes).astype(np.float64)
    is_answer = (answer[:, None] == classes).astype(np.float64)
    # F1 = 2 TP / (truths + answers): one product gives the numerators, one the denominators, of all draws
    twice_hit, both = 2 * is_truth * is_answer, is_truth + is_answer

    def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = weights.astype(np.float64)
        over = drawn @ both
        f1 = drawn @ twice_hit / np.where(over > 0, over, 1)
        mean: NDArray[np.float64] = f1.sum(1) / (over > 0).sum(1)
        return mean

    return score


def _accuracy(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> Score:
    hit = (truth == answer).astype(np.float64)

    def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        share: NDArray[np.float64] = weights @ hit / weights.sum(1)
        return share

    return score
