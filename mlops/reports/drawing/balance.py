"""Figures of task weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from matplotlib.figure import Figure

from mlops.evaluation.drawing.palette import COLOURS, style
from mlops.reports.drawing.style import WIDTH, finish, marked, one_axes

if TYPE_CHECKING:
    from mlops.reports.analysis.balance import WeightPhase
    from mlops.reports.facts import Curve

Scale: TypeAlias = Literal["linear", "log"]
_SHADES = {"quick search": 1, "fine adjustment": 4, "stable": 2}


def draw_tasks(curves: Mapping[str, Curve], unit: str, scale: Scale = "linear") -> Figure:
    """One line a task. On a logarithmic scale a value of 0 is left out."""
    figure, axes = one_axes(3.4)
    for i, (task, curve) in enumerate(curves.items()):
        axes.plot(curve.steps, curve.values, label=task, marker=marked(curve.steps), **style(i))
    axes.set_yscale(scale)
    finish(axes, "epoch", unit)
    return figure


def draw_ratio(
    steps: Sequence[int], ratios: Sequence[float], phases: Sequence[WeightPhase], title: str
) -> Figure:
    """The ratio over time, its phases shaded."""
    figure, axes = one_axes(3.4)
    axes.plot(steps, ratios, marker=marked(steps), color=COLOURS[0], label="ratio")
    for phase in phases:
        axes.axvspan(
            phase.first - 0.5,
            phase.last + 0.5,
            color=COLOURS[_SHADES[phase.name]],
            alpha=0.15,
            label=phase.name,
        )
    finish(axes, "epoch", title)
    return figure


def draw_beside(pairs: Mapping[str, tuple[Curve, Curve]], own: str, other: str) -> Figure:
    """One panel a loss: this run's and the other's."""
    figure = Figure(figsize=(WIDTH, 2.6 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 1, squeeze=False).flat
    for (key, (first, second)), axes in zip(pairs.items(), panels, strict=True):
        axes.plot(first.steps, first.values, label=own, color=COLOURS[0], marker=marked(first.steps))
        axes.plot(second.steps, second.values, "--", label=f"{other} (equal weights)", color=COLOURS[1])
        finish(axes, "epoch", key.removeprefix("train/").replace("_", " "))
    return figure
