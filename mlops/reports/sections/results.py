"""Final and best figures, and those on held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.best import best_of
from mlops.reports.cells import UNKNOWN, Cells, words
from mlops.reports.document import Block, Cell, Missing, Picture, Section, Table, Text
from mlops.reports.names import fitness_key, fitness_label, headlines, is_share, label, losses, short

if TYPE_CHECKING:
    from mlops.reports.facts import ReportData

TITLE = "Final and best figures"


def build(data: ReportData) -> Section | Missing:
    run, cells = data.run, Cells(data.run)
    shown = (*headlines(run), *(key for key in losses(run) if key.startswith("val/")))
    shown += tuple(key for key in losses(run) if key.startswith("train/"))
    blocks: list[Block] = []
    if shown:
        key = fitness_key(run)
        found = best_of(run)
        best = found[0] if found else None
        last = run.epochs[-1]
        rows = tuple(
            (
                words(label(name)),
                cells.at(name, best) if best is not None else UNKNOWN,
                cells.at(name, last),
                _extreme(cells, name),
            )
            for name in shown
        )
        kept = f"epoch {best}, best" if best is not None else "best"
        blocks.append(Table(("figure", kept, f"epoch {last}, last", "best of all epochs"), rows))
        if best is not None and key is not None:
            blocks.append(
                Text(
                    f"The best epoch is the one with the highest {fitness_label(run)}: its weights are kept."
                )
            )
        if headlines(run):
            blocks.append(_picture(data, headlines(run), best))
    tested = _tested(data, cells)
    if tested is not None:
        blocks.append(tested)
    elif shown:
        blocks.append(Text("No figures on held-out data (the test split) were recorded with this run."))
    if not blocks:
        return Missing(TITLE, "No validation and no test figures were recorded with this run.")
    return Section(TITLE, tuple(blocks))


def _extreme(cells: Cells, key: str) -> Cell:
    """The highest of a share, the lowest of a loss, with its epoch."""
    curve = cells.run.curves[key].finite()
    if not curve.steps:
        return UNKNOWN
    value = max(curve.values) if is_share(key) else min(curve.values)
    at = curve.steps[curve.values.index(value)]
    return cells.worked(f"{cells.text(key, value)} (epoch {at})", value, "read", cells.source(key, str(at)))


def _tested(data: ReportData, cells: Cells) -> Table | None:
    names = sorted(key for key in data.run.latest if key.startswith("test/") and key.count("/") == 1)
    if not names:
        return None
    rows = tuple(
        (
            words(short(key)),
            Cell(
                cells.text(key, data.run.latest[key]), data.run.latest[key], "read", (cells.source(key, "0"),)
            ),
        )
        for key in names
    )
    return Table(("held-out figure", "test split"), rows)


def _picture(data: ReportData, keys: tuple[str, ...], best: int | None) -> Picture:
    from mlops.reports.drawing.curves import draw_figures

    curves = [data.run.curves[key] for key in keys]
    cells = Cells(data.run)
    return Picture(
        "validation",
        "Validation figures by epoch" + ("." if best is None else "; the dotted line is the best epoch."),
        lambda: draw_figures(curves, best),
        tuple(cells.source(key, f"{c.steps[0]}..{c.steps[-1]}") for key, c in zip(keys, curves, strict=True)),
    )
