"""A classifier's figures on draws of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.statistics.resampling import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASS_HEADLINES = ("macro_f1", "accuracy")


def shared_cells(
    truth: NDArray[np.int64], answers: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pictures that all models answered alike as one unit: cells (U, 1 + models) and counts (U,).

    truth (N,) and each of answers (N,) are class indices. Scores see nothing else of a picture.
    """
    cells, counts = np.unique(np.stack([truth, *answers], axis=1), axis=0, return_counts=True)
    return cells, counts


def scores_of_classes(truth: NDArray[np.int64], answer: NDArray[np.int64], classes: Sequence[str]) -> Scored:
    """`macro_f1`, `accuracy` and `F1/<class>` of each class in `truth`; truth and answer (U,) of each unit.

    F1 = 2 TP / (truths + answers) as scikit-learn has it; macro_f1 is the mean over the classes that occur in
    the draw's truth or answers.
    """
    occurring = np.union1d(truth, answer)
    is_truth = (truth[:, None] == occurring).astype(np.float64)
    is_answer = (answer[:, None] == occurring).astype(np.float64)
    twice_hit, both = 2 * is_truth * is_answer, is_truth + is_answer
    right = (truth == answer).astype(np.float64)
    named = np.flatnonzero(is_truth.any(0))

    def scores(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = weights.astype(np.float64)
        over = drawn @ both
        f1 = drawn @ twice_hit / np.where(over > 0, over, 1)
        macro = f1.sum(1) / (over > 0).sum(1)
        accuracy = drawn @ right / drawn.sum(1)
        each = np.where(over > 0, f1, np.nan)[:, named]
        return np.concatenate([macro[:, None], accuracy[:, None], each], axis=1)

    names = tuple(f"F1/{classes[occurring[column]]}" for column in named)
    return Scored((*CLASS_HEADLINES, *names), scores, len(truth))
