"""How much figures scatter: as numpy's `mean` and `std` (of the population, ddof=0) have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """mean, sd: in the figure's unit. cv: sd / |mean| (as `scipy.stats.variation`), NaN for a mean of 0."""

    mean: float
    sd: float
    cv: float


def spread(values: Sequence[float]) -> Spread:
    """values: finite, at least one."""
    mean, sd = float(np.mean(values)), float(np.std(values))
    return Spread(mean, sd, sd / abs(mean) if mean else float("nan"))


def fluctuation(steps: Sequence[int], values: Sequence[float]) -> float:
    """Standard deviation about the straight line through the points, as a fraction of their mean.

    The line is the least-squares one (`scipy.stats.linregress`); NaN for fewer than three points or a mean
    of 0.
    """
    mean = float(np.mean(values)) if len(values) else 0.0
    if len(values) < 3 or not mean:
        return float("nan")
    fitted = np.polyval(np.polyfit(steps, values, 1), steps)
    return float(np.std(np.asarray(values) - fitted)) / abs(mean)


def quarters(epochs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First and last epoch of each quarter of the training; fewer parts for fewer than four epochs.

    >>> quarters(range(1, 101))
    ((1, 25), (26, 50), (51, 75), (76, 100))
    """
    parts = np.array_split(np.asarray(sorted(epochs)), min(4, len(epochs)))
    return tuple((int(part[0]), int(part[-1])) for part in parts)
