"""Figures of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from mlops.reports.drawing.style import COLOURS, finish, one_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_history(values: Sequence[float], pruned: Sequence[bool], objective: str) -> Figure:
    """Each trial's best figure in the order of their start, pruned ones as crosses, and the best so far."""
    figure, axes = one_axes()
    numbers = range(len(values))
    for says, mark, colour, cut in (("complete", "o", COLOURS[0], False), ("pruned", "x", COLOURS[1], True)):
        chosen = [i for i in numbers if pruned[i] is cut]
        if chosen:
            axes.scatter(chosen, [values[i] for i in chosen], s=18, marker=mark, color=colour, label=says)
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
