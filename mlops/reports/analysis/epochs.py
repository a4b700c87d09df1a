"""Which epochs a report shows, and which was the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.reports.facts import Curve

MOST_MILESTONES = 14
_STEPS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


def milestones(epochs: Sequence[int]) -> tuple[int, ...]:
    """The first, the last, and those between at the finest round distance that gives no more than fourteen.

    Where no more than fourteen are known at all, all of them.

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
    """Their mean at the steps that all have; of one, itself."""
    first, others = curves[0], [curve.by_step() for curve in curves[1:]]
    shared = [i for i, step in enumerate(first.steps) if all(step in other for other in others)]
    values = [(first.values[i] + sum(o[first.steps[i]] for o in others)) / len(curves) for i in shared]
    steps, times = (tuple(each[i] for i in shared) for each in (first.steps, first.times_ms))
    return replace(first, steps=steps, values=tuple(values), times_ms=times)


def best_epoch(fitness: Curve) -> int | None:
    """The epoch with the highest finite value, the later one of equals: the one whose weights are kept."""
    finite = fitness.finite()
    if not finite.steps:
        return None
    value, step = max(zip(finite.values, finite.steps, strict=True))
    return step if math.isfinite(value) else None


def plateau(values: Sequence[float], tolerance: float = 0.005) -> int | None:
    """The index from which on nothing rises by more than `tolerance` (a fraction) above what was reached.

    values: finite, more is better. None where that leaves less than a tenth of them, or fewer than three:
    then it still rises.
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
