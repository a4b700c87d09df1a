"""Two classifiers' answers to the same pictures, as what the paired bootstrap draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from mlops.evaluation.statistics.paired import Pairing, Score
from mlops.evaluation.statistics.scores_of_classes import scores_of_classes, shared_cells

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
    cells, counts = shared_cells(truth, [candidate, champion])
    own, other = (_score(cells[:, 0], cells[:, column], figure) for column in (1, 2))
    return Pairing(counts, own, other)


def _score(truth: NDArray[np.int64], answer: NDArray[np.int64], figure: ClassFigure) -> Score:
    names = tuple(map(str, range(1 + int(max(truth.max(initial=0), answer.max(initial=0))))))
    scored = scores_of_classes(truth, answer, names)
    column = scored.figures.index(figure)
    return lambda weights: scored.scores(weights)[:, column]
