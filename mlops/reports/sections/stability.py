"""How much the validation figures scatter in each quarter, and in the last five epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.analysis.spread import quarters, spread
from mlops.reports.cells import Cells
from mlops.reports.document import Cell, Missing, Section, Source, Table, Text
from mlops.reports.names import HEADLINES, label

if TYPE_CHECKING:
    from mlops.reports.facts import Curve, ReportData

TITLE = "Stability"
_FIRST = ("val/mAP50", "val/macro_f1")
_LAST = 5


def build(data: ReportData) -> Section | Missing:
    run = data.run
    key = next((key for key in (*_FIRST, *HEADLINES) if key in run.curves), None)
    curve = run.curves[key].finite() if key else None
    if key is None or curve is None or len(curve.steps) < 2:
        return Missing(TITLE, "Fewer than two epochs with a validation figure were recorded.")
    cells = Cells(run)
    parts = [curve.between(first, last) for first, last in quarters(curve.steps)]
    rows = tuple(_row(cells, part, f"{part.steps[0]}-{part.steps[-1]}") for part in parts)
    columns = ("epochs", "mean", "standard deviation", "coefficient of variation")
    blocks = [Table(columns, rows, f"{label(key)} by quarter")]
    last = curve.between(curve.steps[-_LAST:][0], curve.steps[-1])
    figures = tuple((cells.epoch(step), cells.at(key, step)) for step in last.steps)
    blocks.append(Table(("epoch", label(key)), figures, f"the last {len(last.steps)} epochs"))
    found = spread(last.values)
    says = (
        f"Over the last {len(last.steps)} epochs {label(key)} has a standard deviation of "
        f"{_points(found.sd)} (of the population) about a mean of {cells.text(key, found.mean)}."
    )
    source = Source(run.run_id, "metric", key, f"{last.steps[0]}..{last.steps[-1]}")
    return Section(TITLE, (*blocks, Text(says, (source,))))


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
