"""How a loss came down: how much in each range of epochs, and how steadily."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.reports.analysis.spread import fluctuation

if TYPE_CHECKING:
    from mlops.reports.facts import Curve

# Where ranges end, as fractions of the training. Localisation is looked at in four, classification in three.
FOUR = (0.10, 0.30, 0.60, 1.0)
THREE = (0.20, 0.50, 1.0)
_SPEEDS = ((0.30, "rapid"), (0.20, "moderate"), (0.10, "slow"))
_VARIANCES = ((0.05, "high"), (0.01, "moderate"))


@dataclass(frozen=True, slots=True)
class Range:
    """Epochs `first` to `last`.

    change: of the loss, from the end of the range before (or the first epoch) to `last`, as a fraction.
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
        """rapid from 30 % down, moderate from 20 %, slow from 10 %, else minimal; rising where it rose."""
        if self.change > 0:
            return "rising"
        return next((word for floor, word in _SPEEDS if -self.change >= floor - 1e-9), "minimal")

    @property
    def variance(self) -> str:
        """high above 5 % of the mean, moderate above 1 %, else low; "" where too few epochs tell."""
        if math.isnan(self.scatter):
            return ""
        return next((word for floor, word in _VARIANCES if self.scatter > floor), "low")


def ranges_for(loss: str) -> tuple[float, ...]:
    """Where the ranges of the loss named so end."""
    return THREE if "cls" in loss or "class" in loss else FOUR


def decreases(curve: Curve, ends: tuple[float, ...]) -> tuple[Range, ...]:
    """The ranges of a loss. Epochs without a finite value are left out; () for fewer than two of them."""
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
