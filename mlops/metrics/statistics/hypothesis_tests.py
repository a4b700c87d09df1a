"""McNemar's test, p-values from resamples, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class McNemar:
    """both_right, both_wrong, only_baseline, only_candidate: numbers of images predicted correctly.

    p: two-sided, exact.
    """

    both_right: int
    both_wrong: int
    only_baseline: int
    only_candidate: int
    p: float


def mcnemar(truth: NDArray[np.int64], baseline: NDArray[np.int64], candidate: NDArray[np.int64]) -> McNemar:
    """Class indices (N,) each. Under the null hypothesis, discordant images are like fair coin tosses.

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
    """The test from the four counts."""
    from scipy.stats import binomtest

    differing = only_baseline + only_candidate
    p = float(binomtest(only_candidate, differing, 0.5).pvalue) if differing else 1.0
    return McNemar(both_right, both_wrong, only_baseline, only_candidate, p)


_HARDLY_ANY = 0.005


def p_of_draws(differences: NDArray[np.float64]) -> float:
    """Two-sided p for 'no difference': twice the share of draws on the rarer side of 0, plus one of each.

    It is below 1 - confidence if the percentile interval excludes 0 (Efron and Tibshirani 1993, chapter 16,
    with Davison and Hinkley's + 1, so that no p is 0). If almost no draw crosses 0, the normal tail with the
    draws' mean and standard deviation is used, as a correction for many tests needs p-values below
    1 / draws.
    """
    defined = differences[np.isfinite(differences)]
    rarer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    counted = min(1.0, 2 * (rarer + 1) / (len(defined) + 1))
    spread = float(defined.std())
    if rarer >= _HARDLY_ANY * len(defined) or spread == 0:
        return counted
    return min(counted, math.erfc(abs(float(defined.mean())) / (spread * math.sqrt(2))))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order (Holm 1979); controls the family-wise error rate.

    >>> [round(each, 2) for each in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
