"""How fast the losses came down, and from when on nothing more was won."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlops.reports import numbers
from mlops.reports.analysis.convergence import decreases, ranges_for
from mlops.reports.analysis.epochs import best_epoch, plateau
from mlops.reports.cells import UNKNOWN, Cells, spanning, words
from mlops.reports.document import Missing, Section, Table, Text
from mlops.reports.names import fitness_key, is_loss, label

if TYPE_CHECKING:
    from mlops.reports.facts import ReportData

TITLE = "Convergence"


def build(data: ReportData) -> Section | Missing:
    run = data.run
    keys = [key for key in run.names("train/") if is_loss(key)] or [
        key for key in run.names("val/") if is_loss(key)
    ]
    tables = [table for key in keys if (table := _table(Cells(run), key)) is not None]
    texts = _plateau(data)
    if not tables and not texts:
        return Missing(TITLE, "Fewer than two epochs with a loss or a validation figure were recorded.")
    legend = Text(
        "A decrease is measured from the end of the range before: rapid from 30 % down, moderate from 20 %, "
        "slow from 10 %, else minimal. Scatter is the standard deviation about a straight line, as a "
        "share of the mean: high above 5 %, moderate above 1 %."
    )
    return Section(TITLE, (*texts, *tables, *((legend,) if tables else ())))


def _table(cells: Cells, key: str) -> Table | None:
    found = decreases(cells.run.curves[key], ranges_for(key))
    if not found:
        return None
    rows = []
    for each in found:
        steps = (each.first, each.last)
        change = cells.worked(
            numbers.percent(each.change),
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
    return Table(columns, tuple(rows), f"{label(key)} by range of epochs")


def _plateau(data: ReportData) -> tuple[Text, ...]:
    key = fitness_key(data.run)
    curve = data.run.curve(key) if key else None
    best = best_epoch(curve) if curve else None
    if key is None or curve is None or best is None:
        return ()
    finite = curve.finite()
    last = finite.steps[-1]
    source = Cells(data.run).source(key, spanning(finite.steps))
    says = f"{label(key)} is highest at epoch {best} of {last} ({best / last * 100:.0f} % of the way)."
    start = plateau(finite.values)
    if start is None:
        says += " It still rose at the end: more epochs may bring more."
    else:
        left = last - finite.steps[start]
        says += (
            f" From epoch {finite.steps[start]} on it rose by no more than 0.5 % of its best: a plateau of "
            f"{left} epochs."
        )
    return (Text(says, (source,)),)
