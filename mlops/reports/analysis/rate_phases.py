"""The learning rate's phases: warm-up, constant and decay, with the kind of decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.store.histories import Curve

_MAIN = ("lr/weight", "lr/pg0", "lr/head", "lr/pg1", "lr/shared")
_FLAT = 1e-6  # a smaller relative change between two epochs counts as constant
_SHORT = 3  # constant epochs that may result from a schedule's rounding
HIGH, LOW = 0.5, 0.1  # fractions of the peak


@dataclass(frozen=True, slots=True)
class Phase:
    """Epochs `first` to `last` at the rates `start` to `end`.

    shape: "warm-up", "constant", or "linear", "cosine", "exponential", "step" or plain "decay".
    """

    first: int
    last: int
    start: float
    end: float
    shape: str


@dataclass(frozen=True, slots=True)
class Band:
    """Epochs from the peak on with a high (above half of the peak), low (below a tenth) or mid rate."""

    name: str
    epochs: tuple[int, ...]


def main_rate(names: Sequence[str]) -> str | None:
    """The parameter group in the report: weights, else head, else the first."""
    return next((name for name in _MAIN if name in names), next(iter(sorted(names)), None))


def phases(rate: Curve) -> tuple[Phase, ...]:
    """Ranges of one direction, in order; a phase begins at the end of the previous one."""
    steps, values = rate.finite().steps, rate.finite().values
    if len(steps) < 2:
        return ()
    directions = _without_pauses([_direction(a, b) for a, b in pairwise(values)])
    found: list[Phase] = []
    begin = 0
    for i in range(1, len(directions) + 1):
        if i == len(directions) or directions[i] != directions[begin]:
            first = begin if not found else begin + 1
            part = slice(begin, i + 1)
            shape = _shape(directions[begin], np.asarray(values[part]))
            found.append(Phase(steps[first], steps[i], values[begin], values[i], shape))
            begin = i
    return tuple(found)


def bands(rate: Curve) -> tuple[Band, ...]:
    """High, mid and low epochs, without empty bands. () for a rate that is never above 0."""
    finite = rate.finite()
    peak = max(finite.values, default=0.0)
    if peak <= 0:
        return ()
    finite = finite.between(finite.steps[finite.values.index(peak)], finite.steps[-1])
    names = ["high" if v > HIGH * peak else "low" if v < LOW * peak else "mid" for v in finite.values]
    found = []
    for name in ("high", "mid", "low"):
        epochs = tuple(s for s, each in zip(finite.steps, names, strict=True) if each == name)
        if epochs:
            found.append(Band(name, epochs))
    return tuple(found)


def _without_pauses(directions: list[int]) -> list[int]:
    """Give a short constant range the direction of the next range, or of the previous one at the end."""
    parts = [(direction, len(list(same))) for direction, same in groupby(directions)]
    whole: list[int] = []
    for i, (direction, length) in enumerate(parts):
        short = direction == 0 and length < _SHORT and len(parts) > 1
        after = parts[i + 1][0] if i + 1 < len(parts) else parts[i - 1][0]
        whole += [after if short else direction] * length
    return whole


def _direction(before: float, after: float) -> int:
    if abs(after - before) <= _FLAT * max(abs(before), abs(after), 1e-30):
        return 0
    return 1 if after > before else -1


def _shape(direction: int, values: NDArray[np.float64]) -> str:
    if direction > 0:
        return "warm-up"
    if direction == 0:
        return "constant"
    if len(values) < 4:
        return "step decay" if len(values) == 2 else "decay"
    at = np.linspace(0, 1, len(values))
    start, end = values[0], values[-1]
    candidates = {
        "linear decay": start + (end - start) * at,
        "cosine decay": end + (start - end) * (1 + np.cos(np.pi * at)) / 2,
    }
    if start > 0 and end > 0:
        candidates["exponential decay"] = start * (end / start) ** at
    errors = {name: float(np.abs(values - fit).max() / (start - end)) for name, fit in candidates.items()}
    best = min(errors, key=lambda name: errors[name])
    return best if errors[best] < 0.06 else "decay"
