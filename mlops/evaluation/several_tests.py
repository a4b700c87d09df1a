"""Many figures tested at once: p-values from draws, and Holm's correction of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def p_of_draws(differences: NDArray[np.float64]) -> float:
    """Two-sided p for 'no difference': twice the share of draws on the rarer side of 0, plus one of each.

    It is under 1 - confidence where the percentile interval leaves 0 out (Efron and Tibshirani 1993, chapter
    16, with Davison and Hinkley's + 1, so that no p is 0).
    """
    defined = differences[np.isfinite(differences)]
    below, above = int((defined <= 0).sum()), int((defined >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(defined) + 1))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979): one below alpha holds with all errors kept to alpha.

    >>> [round(each, 2) for each in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
