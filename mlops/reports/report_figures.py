"""The matplotlib figures of a report: curves, task weights, trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, TypeAlias

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlops.drawing.plots import COLOURS, style
from mlops.reports.metric_labels import label, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlops.reports.analysis.weight_phases import WeightPhase
    from mlops.store.histories import Curve

WIDTH = 8.0  # inches
_MANY = 10  # maximum number of lines of a legend inside the axes


def marked(steps: Sequence[int]) -> str | None:
    """A marker if there are few points, else none."""
    return "." if len(steps) <= 40 else None


def one_axes(height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def finish(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Labels, grid, integer epochs, and a legend that covers no line."""
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


Scale: TypeAlias = Literal["linear", "log"]
_SHADES = {"quick search": 1, "fine adjustment": 4, "stable": 2}


def draw_tasks(curves: Mapping[str, Curve], unit: str, scale: Scale = "linear") -> Figure:
    """One line per task. On a logarithmic scale, values of 0 are omitted."""
    figure, axes = one_axes(3.4)
    for i, (task, curve) in enumerate(curves.items()):
        axes.plot(curve.steps, curve.values, label=task, marker=marked(curve.steps), **style(i))
    axes.set_yscale(scale)
    finish(axes, "epoch", unit)
    return figure


def draw_ratio(
    steps: Sequence[int], ratios: Sequence[float], phases: Sequence[WeightPhase], title: str
) -> Figure:
    """The ratio over time, with shaded phases."""
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
    """One panel per loss: this run's and the other's."""
    figure = Figure(figsize=(WIDTH, 2.6 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 1, squeeze=False).flat
    for (key, (first, second)), axes in zip(pairs.items(), panels, strict=True):
        axes.plot(first.steps, first.values, label=own, color=COLOURS[0], marker=marked(first.steps))
        axes.plot(second.steps, second.values, "--", label=f"{other} (equal weights)", color=COLOURS[1])
        finish(axes, "epoch", key.removeprefix("train/").replace("_", " "))
    return figure


_TOWERING = 20.0  # times the median: a larger loss makes the others unreadable on a linear axis


def draw_figures(curves: Sequence[Curve], best: int | None) -> Figure:
    """Validation metrics between 0 and 1, with the best epoch marked."""
    figure, axes = one_axes()
    for i, curve in enumerate(curves):
        axes.plot(curve.steps, curve.values, label=short(curve.key), marker=marked(curve.steps), **style(i))
    if best is not None:
        axes.axvline(best, color="grey", linestyle=":", linewidth=1.2, label=f"best epoch, {best}")
    finish(axes, "epoch", "validation metric (0 to 1)")
    return figure


def draw_losses(curves: Sequence[Curve]) -> Figure:
    """One panel per loss, training solid and validation dashed; logarithmic if one epoch is far larger."""
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
    for axes in panels:  # unused panels
        axes.set_visible(False)
    return figure


def draw_pairs(pairs: Sequence[tuple[Curve, Curve]]) -> Figure:
    """Metrics of training (solid) and validation (dashed), one colour per metric."""
    figure, axes = one_axes()
    for i, (train, val) in enumerate(pairs):
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(train.steps, train.values, label=label(train.key), color=colour, marker=marked(train.steps))
        axes.plot(val.steps, val.values, "--", label=label(val.key), color=colour, marker=marked(val.steps))
    finish(axes, "epoch", "share")
    return figure


def draw_classes(curves: Sequence[Curve], figure_name: str) -> Figure:
    """The metric of each class over the epochs."""
    figure, axes = one_axes()
    for i, curve in enumerate(curves):
        name = curve.key.split("/", 2)[2]
        axes.plot(curve.steps, curve.values, label=name, marker=marked(curve.steps), **style(i))
    finish(axes, "epoch", figure_name)
    return figure


def draw_rates(curves: Sequence[Curve]) -> Figure:
    """Learning rates; groups with equal rates share a line."""
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
    """One panel each for the time of an epoch, images per second, and machine utilisation."""
    by_epoch = [curve for curve in curves if curve.key.startswith("time/")]
    machine = [curve for curve in curves if curve.key.startswith("system/")]
    panels = len(by_epoch) + bool(machine)
    figure = Figure(figsize=(WIDTH, 2.4 * panels), layout="constrained")
    all_axes = list(figure.subplots(panels, 1, squeeze=False).flat)
    units = {"time/epoch_s": "seconds per epoch", "time/images_per_s": "images per second"}
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


_MARKS = {"complete": "o", "pruned": "x"}


def draw_history(values: Sequence[float], states: Sequence[str], objective: str) -> Figure:
    """Each trial's best value in order of start, with markers by state, and the best so far."""
    figure, axes = one_axes()
    numbers = range(len(values))
    for i, state in enumerate(sorted(set(states))):
        chosen = [number for number in numbers if states[number] == state]
        mark = _MARKS.get(state, "s")
        axes.scatter(chosen, [values[n] for n in chosen], s=18, marker=mark, color=COLOURS[i], label=state)
    axes.plot(numbers, list(accumulate(values, max)), color="black", linewidth=1, label="best so far")
    finish(axes, "trial, in order of start", objective)
    return figure


def draw_importances(found: Mapping[str, float]) -> Figure:
    """One bar per setting, the largest at the top."""
    names = list(found)[::-1]
    figure, axes = one_axes(max(2.0, 0.4 * len(names) + 1))
    axes.barh(names, [found[name] * 100 for name in names], color=COLOURS[0])
    axes.set(xlabel="importance (%)", ylabel="setting")
    axes.grid(alpha=0.3, axis="x")
    return figure
