"""Milestones, best epoch, scatter of values, and convergence of a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlops.store.histories import Curve

MOST_MILESTONES = 14
_STEPS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


def milestones(epochs: Sequence[int]) -> tuple[int, ...]:
    """The first, the last, and epochs in between at the smallest round distance with at most fourteen in all.

    All of them if there are at most fourteen.

    >>> milestones(range(1, 96))
    (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
    """
    known = sorted(set(epochs))
    if len(known) <= MOST_MILESTONES:
        return tuple(known)
    last = known[-1]
    step = next((step for step in _STEPS if last // step < MOST_MILESTONES), last)
    chosen = {known[0], last, *(epoch for epoch in known if epoch % step == 0)}
    return tuple(sorted(chosen))


def mean_of(curves: Sequence[Curve]) -> Curve:
    """The mean curve at the common steps; a single curve is returned unchanged."""
    first, others = curves[0], [curve.by_step() for curve in curves[1:]]
    shared = [i for i, step in enumerate(first.steps) if all(step in other for other in others)]
    values = [(first.values[i] + sum(o[first.steps[i]] for o in others)) / len(curves) for i in shared]
    steps, times = (tuple(each[i] for i in shared) for each in (first.steps, first.times_ms))
    return replace(first, steps=steps, values=tuple(values), times_ms=times)


def best_epoch(fitness: Curve) -> int | None:
    """The epoch with the highest finite value, the latest of equals, whose weights are kept."""
    finite = fitness.finite()
    if not finite.steps:
        return None
    value, step = max(zip(finite.values, finite.steps, strict=True))
    return step if math.isfinite(value) else None


def plateau(values: Sequence[float], tolerance: float = 0.005) -> int | None:
    """The index from which the values rise by at most the fraction `tolerance`.

    values: finite, higher is better. None if this is less than a tenth of them, or fewer than three: they are
    still rising.
    """
    if not values:
        return None
    best = max(values)
    start = next(i for i, value in enumerate(values) if value >= best - tolerance * abs(best))
    left = len(values) - start
    return start if left >= max(3, math.ceil(len(values) / 10)) else None


def first_reaching(curve: Curve, level: float) -> int | None:
    """The first epoch at which the curve is at least `level`."""
    return next(
        (step for step, value in zip(curve.steps, curve.values, strict=True) if value >= level - 1e-12), None
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """mean, sd: in the metric's unit. cv: sd / |mean| (as `scipy.stats.variation`), NaN for a mean of 0."""

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


# Ends of the ranges as fractions of the training: four for localisation, three for classification.
FOUR = (0.10, 0.30, 0.60, 1.0)
THREE = (0.20, 0.50, 1.0)
_SPEEDS = ((0.30, "rapid"), (0.20, "moderate"), (0.10, "slow"))
_VARIANCES = ((0.05, "high"), (0.01, "moderate"))


@dataclass(frozen=True, slots=True)
class Range:
    """Epochs `first` to `last`.

    change: of the loss, from the end of the previous range (or the first epoch) to `last`, as a fraction.
    scatter: `spread.fluctuation` within the range; NaN for fewer than three epochs.
    before: the epoch that the change is measured from.
    """

    first: int
    last: int
    before: int
    change: float
    scatter: float

    @property
    def speed(self) -> str:
        """rapid from a decrease of 30 %, moderate from 20 %, slow from 10 %, else minimal; rising if it
        rose.
        """
        if self.change > 0:
            return "rising"
        return next((word for floor, word in _SPEEDS if -self.change >= floor - 1e-9), "minimal")

    @property
    def variance(self) -> str:
        """high above 5 % of the mean, moderate above 1 %, else low; "" for too few epochs."""
        if math.isnan(self.scatter):
            return ""
        return next((word for floor, word in _VARIANCES if self.scatter > floor), "low")


def ranges_for(loss: str) -> tuple[float, ...]:
    """The ends of the ranges for a loss of this name."""
    return THREE if "cls" in loss or "class" in loss else FOUR


def decreases(curve: Curve, ends: tuple[float, ...]) -> tuple[Range, ...]:
    """The ranges of a loss, without epochs without a finite value; () for fewer than two epochs."""
    loss = curve.finite()
    if len(loss.steps) < 2:
        return ()
    last_epoch, values = loss.steps[-1], loss.by_step()
    found: list[Range] = []
    before, start = loss.steps[0], loss.steps[0]
    for end in ends:
        inside = [step for step in loss.steps if start <= step <= max(round(end * last_epoch), start)]
        if not inside or inside[-1] == before or not values[before]:
            continue
        last = inside[-1]
        change = (values[last] - values[before]) / values[before]
        scatter = fluctuation(inside, [values[step] for step in inside])
        found.append(Range(inside[0], last, before, change, scatter))
        before = last
        start = next((step for step in loss.steps if step > last), last_epoch + 1)
    return tuple(found)
