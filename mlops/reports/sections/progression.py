"""The figures at milestone epochs, and from the first to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.analysis.epochs import milestones
from mlops.reports.cells import Cells, words
from mlops.reports.document import Missing, Section, Table
from mlops.reports.names import headlines, label, short

if TYPE_CHECKING:
    from mlops.reports.facts import ReportData

TITLE = "Progression"


def build(data: ReportData) -> Section | Missing:
    run, cells, keys = data.run, Cells(data.run), headlines(data.run)
    if not keys:
        return Missing(TITLE, "No validation figures were recorded with this run.")
    epochs = run.curves[keys[0]].steps
    rows = tuple(
        (cells.epoch(epoch), *(cells.at(key, epoch) for key in keys)) for epoch in milestones(epochs)
    )
    table = Table(("epoch", *map(short, keys)), rows, "validation figures at milestone epochs")
    if len(epochs) < 2:
        return Section(TITLE, (table,))
    first, last = epochs[0], epochs[-1]
    changes = tuple(
        (words(label(key)), cells.at(key, first), cells.at(key, last), cells.change(key, first, last))
        for key in keys
    )
    columns = ("figure", f"epoch {first}", f"epoch {last}", "change")
    return Section(TITLE, (table, Table(columns, changes, "first against last epoch")))
