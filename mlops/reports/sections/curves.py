"""Development of losses and metrics: milestones, convergence, stability."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.analysis.epoch_statistics import (
    best_epoch,
    decreases,
    milestones,
    plateau,
    quarters,
    ranges_for,
    spread,
)
from mlops.reports.cells import UNKNOWN, Cells, spanning, words
from mlops.reports.document import Cell, FigureFile, MissingSection, ReportTable, Section, Text, ValueSource
from mlops.reports.metric_labels import HEADLINES, fitness_key, headlines, is_loss, label, losses, short

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData
    from mlops.store.histories import Curve

TITLE = "Convergence"


def build(data: ReportData) -> Section | MissingSection:
    run = data.run
    keys = [key for key in run.names("train/") if is_loss(key)] or [
        key for key in run.names("val/") if is_loss(key)
    ]
    tables = [table for key in keys if (table := _table(Cells(run), key)) is not None]
    texts = _plateau(data)
    if not tables and not texts:
        return MissingSection(
            TITLE, "Fewer than two epochs with a loss or a validation metric were recorded."
        )
    legend = Text(
        "A decrease is measured from the end of the previous range: rapid from 30 %, moderate from 20 %, "
        "slow from 10 %, else minimal. Scatter is the standard deviation about a straight line, as a "
        "fraction of the mean: high above 5 %, moderate above 1 %."
    )
    return Section(TITLE, (*texts, *tables, *((legend,) if tables else ())))


def _table(cells: Cells, key: str) -> ReportTable | None:
    found = decreases(cells.run.curves[key], ranges_for(key))
    if not found:
        return None
    rows = []
    for each in found:
        steps = (each.first, each.last)
        change = cells.worked(
            number_format.percent(each.change),
            each.change,
            "change",
            cells.source(key, f"{each.before},{each.last}"),
        )
        scatter = (
            UNKNOWN
            if math.isnan(each.scatter)
            else cells.over(key, "scatter", each.scatter, f"{each.scatter * 100:.1f} %", steps)
        )
        name = words(f"{each.first}-{each.last}" if each.first != each.last else str(each.first))
        rows.append((name, change, words(each.speed), scatter, words(each.variance or "-")))
    columns = ("epochs", "decrease", "speed", "scatter", "variance")
    return ReportTable(columns, tuple(rows), f"{label(key)} by range of epochs")


def _plateau(data: ReportData) -> tuple[Text, ...]:
    key = fitness_key(data.run)
    curve = data.run.curve(key) if key else None
    best = best_epoch(curve) if curve else None
    if key is None or curve is None or best is None:
        return ()
    finite = curve.finite()
    last = finite.steps[-1]
    source = Cells(data.run).source(key, spanning(finite.steps))
    says = f"{label(key)} is highest at epoch {best} of {last} ({best / last * 100:.0f} % of all epochs)."
    start = plateau(finite.values)
    if start is None:
        says += " It was still rising at the end; more epochs may improve it."
    else:
        left = last - finite.steps[start]
        says += (
            f" From epoch {finite.steps[start]} on it rose by no more than 0.5 % of its best: a plateau of "
            f"{left} epochs."
        )
    return (Text(says, (source,)),)


_LOSSES = "Losses"


def build_losses(data: ReportData) -> Section | MissingSection:
    from mlops.reports.report_figures import draw_losses

    run, cells, keys = data.run, Cells(data.run), losses(data.run)
    if not keys:
        return MissingSection(_LOSSES, "No losses were recorded with this run.")
    epochs = sorted({step for key in keys for step in run.curves[key].steps})
    first, last = epochs[0], epochs[-1]
    rows = tuple(
        (cells.epoch(epoch), *(cells.at(key, epoch) for key in keys)) for epoch in milestones(epochs)
    )
    changes = tuple(
        (words(label(key)), cells.at(key, first), cells.at(key, last), cells.change(key, first, last))
        for key in keys
    )
    curves = [run.curves[key] for key in keys]
    picture = FigureFile(
        "losses",
        "Losses by epoch; training solid, validation dashed.",
        lambda: draw_losses(curves),
        tuple(cells.source(c.key, spanning(c.steps)) for c in curves),
    )
    return Section(
        _LOSSES,
        (
            ReportTable(
                ("loss", f"epoch {first}", f"epoch {last}", "change"), changes, "first against last epoch"
            ),
            picture,
            ReportTable(("epoch", *map(label, keys)), rows, "losses at milestone epochs"),
        ),
    )


_PROGRESSION = "Progression"


def build_progression(data: ReportData) -> Section | MissingSection:
    run, cells, keys = data.run, Cells(data.run), headlines(data.run)
    if not keys:
        return MissingSection(_PROGRESSION, "No validation metrics were recorded with this run.")
    epochs = run.curves[keys[0]].steps
    rows = tuple(
        (cells.epoch(epoch), *(cells.at(key, epoch) for key in keys)) for epoch in milestones(epochs)
    )
    table = ReportTable(("epoch", *map(short, keys)), rows, "validation metrics at milestone epochs")
    if len(epochs) < 2:
        return Section(_PROGRESSION, (table,))
    first, last = epochs[0], epochs[-1]
    changes = tuple(
        (words(label(key)), cells.at(key, first), cells.at(key, last), cells.change(key, first, last))
        for key in keys
    )
    columns = ("metric", f"epoch {first}", f"epoch {last}", "change")
    return Section(_PROGRESSION, (table, ReportTable(columns, changes, "first against last epoch")))


_STABILITY = "Stability"
_FIRST = ("val/mAP50", "val/macro_f1")
_LAST = 5


def build_stability(data: ReportData) -> Section | MissingSection:
    run = data.run
    key = next((key for key in (*_FIRST, *HEADLINES) if key in run.curves), None)
    curve = run.curves[key].finite() if key else None
    if key is None or curve is None or len(curve.steps) < 2:
        return MissingSection(_STABILITY, "Fewer than two epochs with a validation metric were recorded.")
    cells = Cells(run)
    parts = [curve.between(first, last) for first, last in quarters(curve.steps)]
    rows = tuple(_row(cells, part, f"{part.steps[0]}-{part.steps[-1]}") for part in parts)
    columns = ("epochs", "mean", "standard deviation", "coefficient of variation")
    blocks = [ReportTable(columns, rows, f"{label(key)} by quarter")]
    last = curve.between(curve.steps[-_LAST:][0], curve.steps[-1])
    figures = tuple((cells.epoch(step), cells.at(key, step)) for step in last.steps)
    blocks.append(ReportTable(("epoch", label(key)), figures, f"the last {len(last.steps)} epochs"))
    found = spread(last.values)
    says = (
        f"Over the last {len(last.steps)} epochs {label(key)} has a standard deviation of "
        f"{_points(found.sd)} (of the population) about a mean of {cells.text(key, found.mean)}."
    )
    source = ValueSource(run.run_id, "metric", key, f"{last.steps[0]}..{last.steps[-1]}")
    return Section(_STABILITY, (*blocks, Text(says, (source,))))


def _row(cells: Cells, part: Curve, name: str) -> tuple[Cell, ...]:
    found = spread(part.values)
    return (
        Cell(name),
        cells.over(part.key, "mean", found.mean, cells.text(part.key, found.mean), part.steps),
        cells.over(part.key, "standard deviation", found.sd, _points(found.sd), part.steps),
        cells.over(part.key, "coefficient of variation", found.cv, f"{found.cv * 100:.1f} %", part.steps),
    )


def _points(share: float) -> str:
    return f"{share * 100:.2f} points"
