"""Each class: final value, epochs to reach it, and number of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.analysis.epoch_statistics import first_reaching, milestones
from mlops.reports.cells import UNKNOWN, Cells, spanning, words
from mlops.reports.document import Cell, FigureFile, MissingSection, ReportTable, Section, Text, ValueSource
from mlops.reports.metric_labels import label, per_class

if TYPE_CHECKING:
    from mlops.reports.document import Block
    from mlops.reports.tracked_facts import ReportData

TITLE = "Classes"
LEVEL = 0.90


def build(data: ReportData) -> Section | MissingSection:
    run, cells = data.run, Cells(data.run)
    prefix, keys = per_class(run)
    curves = {name: run.curves[key] for name, key in keys.items() if run.curves[key].finite().steps}
    if not curves:
        return MissingSection(TITLE, "No validation metrics per class were recorded with this run.")
    figure = label(prefix.strip("/"))
    final = {name: curve.finite().values[-1] for name, curve in curves.items()}
    order = sorted(curves, key=lambda name: -final[name])
    rows = tuple(_row(cells, data, name, keys[name]) for name in order)
    per_point = "samples per point" if _samples(data) else "samples"
    columns: tuple[str, ...] = (
        "class",
        f"final {figure}",
        "highest",
        f"epochs to {LEVEL:.2f}",
        "epochs to 90 % of final",
        "samples",
        per_point,
    )
    if not _samples(data):
        columns, rows = columns[:5], tuple(row[:5] for row in rows)
    hardest = order[-1]
    says = (
        f"Hardest class: {hardest}, which ends at {cells.text(keys[hardest], final[hardest])}; "
        f"best: {order[0]} at {cells.text(keys[order[0]], final[order[0]])}."
    )
    if not _samples(data):
        says += " The number of training samples per class was not recorded."
    sources = tuple(
        cells.source(keys[name], str(curves[name].finite().steps[-1])) for name in (hardest, order[0])
    )
    epochs = sorted({step for curve in curves.values() for step in curve.steps})
    milestone_rows = tuple(
        (cells.epoch(epoch), *(cells.at(keys[name], epoch) for name in order)) for epoch in milestones(epochs)
    )
    blocks: list[Block] = [
        ReportTable(columns, rows, f"{figure} of each class"),
        Text(says, sources),
        _picture(cells, figure, [keys[name] for name in order]),
        ReportTable(("epoch", *order), milestone_rows, f"{figure} at milestone epochs", folded=True),
    ]
    tested = _tested(cells, order)
    return Section(TITLE, (*blocks, *((tested,) if tested else ())))


def _row(cells: Cells, data: ReportData, name: str, key: str) -> tuple[Cell, ...]:
    curve = cells.run.curves[key].finite()
    final, last = curve.values[-1], curve.steps[-1]
    top = max(curve.values)
    at = curve.steps[curve.values.index(top)]
    highest = cells.worked(f"{cells.text(key, top)} (epoch {at})", top, "read", cells.source(key, str(at)))
    levels = [_reaching(cells, key, level, last) for level in (LEVEL, 0.9 * final)]
    return (words(name), cells.at(key, last), highest, *levels, *_per_point(data, name, final, key, last))


def _reaching(cells: Cells, key: str, level: float, last: int) -> Cell:
    epoch = first_reaching(cells.run.curves[key].finite(), level)
    if epoch is None:
        return words(f"not in {last}")
    return cells.worked(str(epoch), float(epoch), "first epoch reaching", cells.source(key, f"1..{last}"))


def _per_point(data: ReportData, name: str, final: float, key: str, last: int) -> tuple[Cell, Cell]:
    """Training samples, and samples per point (hundredth) of the class's final metric."""
    samples, run = _samples(data), data.run
    if name not in samples:
        return UNKNOWN, UNKNOWN
    where = ValueSource(run.run_id, "dataset", f"counts.train.{name}")
    held = Cell(f"{samples[name]:,}", float(samples[name]), "read", (where,))
    if final <= 0:
        return held, UNKNOWN
    ratio = samples[name] / (final * 100)
    source = ValueSource(run.run_id, "metric", key, str(last))
    return held, Cell(f"{ratio:.1f}", ratio, "samples / points", (where, source))


def _samples(data: ReportData) -> dict[str, int]:
    dataset = data.run.dataset
    return dict(dataset.counts.get("train", {})) if dataset else {}


def _tested(cells: Cells, order: list[str]) -> ReportTable | None:
    """Held-out metrics of each class, one column per metric."""
    latest = cells.run.latest
    figures = sorted({key.split("/")[1] for key in latest if key.startswith("test/") and key.count("/") == 2})
    named = [name for name in order if any(f"test/{figure}/{name}" in latest for figure in figures)]
    if not named:
        return None
    shown = [figure for figure in figures if f"test/{figure}/{named[0]}" in latest]
    rows = []
    for name in named:
        found: list[Cell] = [words(name)]
        for figure in shown:
            key = f"test/{figure}/{name}"
            if key not in latest:
                found.append(UNKNOWN)
                continue
            value = latest[key]
            found.append(cells.worked(cells.text(key, value), value, "read", cells.source(key, "0")))
        rows.append(tuple(found))
    return ReportTable(("class", *shown), tuple(rows), "held-out metrics of each class (test split)")


def _picture(cells: Cells, figure: str, keys: list[str]) -> FigureFile:
    from mlops.reports.report_figures import draw_classes

    curves = [cells.run.curves[key] for key in keys]
    return FigureFile(
        "classes",
        f"{figure} of each class by epoch.",
        lambda: draw_classes(curves, figure),
        tuple(cells.source(c.key, spanning(c.steps)) for c in curves),
    )
