"""How every figure of a report looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

WIDTH = 8.0  # inches
_MANY = 10  # lines that a legend inside the axes has room for


def marked(steps: Sequence[int]) -> str | None:
    """A mark at each point where there are few of them, else none."""
    return "." if len(steps) <= 40 else None


def one_axes(height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def finish(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Names, grid, whole epochs, and a legend that covers nothing."""
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > _MANY:
        axes.legend(
            handles, labels, fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
        )
    elif len(labels) > 1:
        axes.legend(handles, labels, fontsize="small", framealpha=0.9, edgecolor="none")
