"""What the release policy asks for, and what was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.cells import words
from mlops.reports.document import Cell, Missing, Section, Source, Table, Text

if TYPE_CHECKING:
    from mlops.reports.facts import Criterion, ReportData

TITLE = "Success criteria"


def build(data: ReportData) -> Section | Missing:
    if data.criteria is None:
        return Missing(TITLE, data.no_criteria or "No release policy was given.")
    if not data.criteria:
        return Missing(TITLE, "The release policy states no condition.")
    rows = tuple(_row(data, each) for each in data.criteria)
    columns = ("criterion", "for", "minimum", "target", "stretch", "reached", "level")
    known = [each for each in data.criteria if each.level != "not measured"]
    missed = [each.name for each in known if each.level in ("none", "refused")]
    says = f"{len(known)} of {len(data.criteria)} criteria could be judged on what was recorded"
    says += (
        f"; not reached: {', '.join(missed)}." if missed else "; all of those were reached." if known else "."
    )
    return Section(TITLE, (Table(columns, rows), Text(says)))


def _row(data: ReportData, each: Criterion) -> tuple[Cell, ...]:
    sources = tuple(
        Source(data.run.run_id, "file" if key.endswith(".parquet") else "metric", key) for key in each.metrics
    )
    reached = Cell(each.reached or "-", each.value, "policy" if sources else "", sources)
    limits = (words(each.minimum or "-"), words(each.target or "-"), words(each.stretch or "-"))
    return words(each.name), words(each.stage), *limits, reached, words(each.level)
