"""The losses at milestone epochs, and first against last in percent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.analysis.epochs import milestones
from mlops.reports.cells import Cells, spanning, words
from mlops.reports.document import Missing, Picture, Section, Table
from mlops.reports.names import label, losses

if TYPE_CHECKING:
    from mlops.reports.facts import ReportData

TITLE = "Losses"


def build(data: ReportData) -> Section | Missing:
    from mlops.reports.drawing.curves import draw_losses

    run, cells, keys = data.run, Cells(data.run), losses(data.run)
    if not keys:
        return Missing(TITLE, "No losses were recorded with this run.")
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
    picture = Picture(
        "losses",
        "Losses by epoch; training solid, validation dashed.",
        lambda: draw_losses(curves),
        tuple(cells.source(c.key, spanning(c.steps)) for c in curves),
    )
    return Section(
        TITLE,
        (
            Table(("loss", f"epoch {first}", f"epoch {last}", "change"), changes, "first against last epoch"),
            picture,
            Table(("epoch", *map(label, keys)), rows, "losses at milestone epochs"),
        ),
    )
