"""Figures of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from mlops.evaluation.drawing.palette import COLOURS
from mlops.reports.drawing.style import finish, one_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
_MARKS = {"complete": "o", "pruned": "x"}


def draw_history(values: Sequence[float], states: Sequence[str], objective: str) -> Figure:
    """Each trial's best figure in the order of their start, a mark for each state, and the best so far."""
    figure, axes = one_axes()
    numbers = range(len(values))
    for i, state in enumerate(sorted(set(states))):
        chosen = [number for number in numbers if states[number] == state]
        mark = _MARKS.get(state, "s")
        axes.scatter(chosen, [values[n] for n in chosen], s=18, marker=mark, color=COLOURS[i], label=state)
    axes.plot(numbers, list(accumulate(values, max)), color="black", linewidth=1, label="best so far")
    finish(axes, "trial, in the order of their start", objective)
    return figure


def draw_importances(found: Mapping[str, float]) -> Figure:
    """A bar a setting, the greatest on top."""
    names = list(found)[::-1]
    figure, axes = one_axes(max(2.0, 0.4 * len(names) + 1))
    axes.barh(names, [found[name] * 100 for name in names], color=COLOURS[0])
    axes.set(xlabel="importance (%)", ylabel="setting")
    axes.grid(alpha=0.3, axis="x")
    return figure
