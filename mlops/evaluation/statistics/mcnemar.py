"""McNemar's test: do two classifiers err on equally many pictures that the other gets right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
