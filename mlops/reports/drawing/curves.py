"""Figures over the epochs of one run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mlops.evaluation.drawing.palette import COLOURS, style
from mlops.reports.drawing.style import WIDTH, finish, marked, one_axes
from mlops.reports.names import label, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlops.reports.facts import Curve

_TOWERING = 20.0  # times the median: a loss above that leaves the others no height on a linear axis


def draw_figures(curves: Sequence[Curve], best: int | None) -> Figure:
    """Validation figures between 0 and 1, the best epoch marked."""
    figure, axes = one_axes()
    for i, curve in enumerate(curves):
        axes.plot(curve.steps, curve.values, label=short(curve.key), marker=marked(curve.steps), **style(i))
    if best is not None:
        axes.axvline(best, color="grey", linestyle=":", linewidth=1.2, label=f"best epoch, {best}")
    finish(axes, "epoch", "validation figure (share)")
    return figure


def draw_losses(curves: Sequence[Curve]) -> Figure:
    """One panel a loss, training solid and validation dashed; logarithmic where one epoch towers."""
    names = list(dict.fromkeys(curve.key.partition("/")[2] for curve in curves))
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH, 3.0 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for name, axes in zip(names, panels, strict=False):
        for curve in curves:
            split, _, loss = curve.key.partition("/")
            if loss == name:
                of_training = split == "train"
                axes.plot(
                    curve.steps,
                    curve.values,
                    label="training" if of_training else "validation",
                    color=COLOURS[0 if of_training else 1],
                    linestyle="-" if of_training else "--",
                    marker=marked(curve.steps),
                )
        axes.set_title(name.replace("_", " "), fontsize="medium")
        values = [v for line in axes.get_lines() for v in line.get_ydata() if math.isfinite(v)]
        towers = bool(values) and min(values) > 0 and max(values) > _TOWERING * statistics.median(values)
        if towers:
            axes.set_yscale("log")
        finish(axes, "epoch", "loss (logarithmic)" if towers else "loss")
    for axes in panels:  # those that no loss took
        axes.set_visible(False)
    return figure


def draw_pairs(pairs: Sequence[tuple[Curve, Curve]]) -> Figure:
    """Figures of training (solid) and validation (dashed), a colour each."""
    figure, axes = one_axes()
    for i, (train, val) in enumerate(pairs):
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(train.steps, train.values, label=label(train.key), color=colour, marker=marked(train.steps))
        axes.plot(val.steps, val.values, "--", label=label(val.key), color=colour, marker=marked(val.steps))
    finish(axes, "epoch", "share")
    return figure


def draw_classes(curves: Sequence[Curve], figure_name: str) -> Figure:
    """The figure of each class over the epochs."""
    figure, axes = one_axes()
    for i, curve in enumerate(curves):
        name = curve.key.split("/", 2)[2]
        axes.plot(curve.steps, curve.values, label=name, marker=marked(curve.steps), **style(i))
    finish(axes, "epoch", figure_name)
    return figure


def draw_rates(curves: Sequence[Curve]) -> Figure:
    """Learning rates, groups that run together as one line."""
    figure, axes = one_axes(3.2)
    groups: dict[tuple[float, ...], list[Curve]] = {}
    for curve in curves:
        groups.setdefault(tuple(round(v, 12) for v in curve.values), []).append(curve)
    for i, same in enumerate(groups.values()):
        name = ", ".join(curve.key.removeprefix("lr/") for curve in same)
        axes.plot(same[0].steps, same[0].values, label=name, marker=marked(same[0].steps), **style(i))
    if all(value > 0 for curve in curves for value in curve.values):
        axes.set_yscale("log")
    finish(axes, "epoch", "learning rate")
    if len(groups) == 1:
        axes.set_title(f"groups: {name}", fontsize="small")
    return figure


def draw_time(curves: Sequence[Curve], started_ms: int) -> Figure:
    """A panel each for the time of an epoch, pictures a second, and the machine over the minutes."""
    by_epoch = [curve for curve in curves if curve.key.startswith("time/")]
    machine = [curve for curve in curves if curve.key.startswith("system/")]
    panels = len(by_epoch) + bool(machine)
    figure = Figure(figsize=(WIDTH, 2.4 * panels), layout="constrained")
    all_axes = list(figure.subplots(panels, 1, squeeze=False).flat)
    units = {"time/epoch_s": "seconds an epoch", "time/images_per_s": "pictures a second"}
    for i, (curve, axes) in enumerate(zip(by_epoch, all_axes, strict=False)):
        axes.plot(curve.steps, curve.values, marker=marked(curve.steps), **style(i))
        axes.set_ylim(0, 1.1 * max((v for v in curve.values if math.isfinite(v)), default=1.0) or 1.0)
        finish(axes, "epoch", units[curve.key])
    if machine:
        _machine(all_axes[-1], machine, started_ms)
    return figure


def _machine(axes: Axes, curves: Sequence[Curve], started_ms: int) -> None:
    for i, curve in enumerate(curves):
        minutes = [(at - started_ms) / 60_000 for at in curve.times_ms]
        name = curve.key.removeprefix("system/").removesuffix("_utilization_percentage")
        axes.plot(minutes, curve.values, label=name.replace("_", " "), linewidth=1, **style(i))
    axes.set_ylim(0, 102)
    finish(axes, "minutes since the start", "busy (%)")
    if len(curves) == 1:
        axes.set_ylabel(f"{name.replace('_', ' ')} busy (%)")
