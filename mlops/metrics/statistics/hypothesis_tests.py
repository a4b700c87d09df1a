"""McNemar's test, p-values from resamples, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class McNemar:
    """both_right, both_wrong, only_baseline, only_candidate: pictures that they answered so.

    p: two-sided, exact.
    """

    both_right: int
    both_wrong: int
    only_baseline: int
    only_candidate: int
    p: float


def mcnemar(truth: NDArray[np.int64], baseline: NDArray[np.int64], candidate: NDArray[np.int64]) -> McNemar:
    """Class indices (N,) each. The pictures that one alone gets right are a fair coin's if both are as good.

    McNemar 1947, 'Note on the sampling error of the difference between correlated proportions', in its exact
    form: scipy's `binomtest`.
    """
    first, second = baseline == truth, candidate == truth
    return of_counts(
        int((first & second).sum()),
        int((first & ~second).sum()),
        int((~first & second).sum()),
        int((~first & ~second).sum()),
    )


def of_counts(both_right: int, only_baseline: int, only_candidate: int, both_wrong: int) -> McNemar:
    """The test from the four counts alone."""
    from scipy.stats import binomtest

    differing = only_baseline + only_candidate
    p = float(binomtest(only_candidate, differing, 0.5).pvalue) if differing else 1.0
    return McNemar(both_right, both_wrong, only_baseline, only_candidate, p)


_HARDLY_ANY = 0.005


def p_of_draws(differences: NDArray[np.float64]) -> float:
    """Two-sided p for 'no difference': twice the share of draws on the rarer side of 0, plus one of each.

    It is under 1 - confidence where the percentile interval leaves 0 out (Efron and Tibshirani 1993, chapter
    16, with Davison and Hinkley's + 1, so that no p is 0). Where hardly a draw crosses 0 their number says
    nothing of how far it is: there the normal tail at the draws' mean and standard deviation is taken, as a
    correction for many tests needs a p below one over the draws.
    """
    defined = differences[np.isfinite(differences)]
    rarer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    counted = min(1.0, 2 * (rarer + 1) / (len(defined) + 1))
    spread = float(defined.std())
    if rarer >= _HARDLY_ANY * len(defined) or spread == 0:
        return counted
    return min(counted, math.erfc(abs(float(defined.mean())) / (spread * math.sqrt(2))))


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
