"""Everything that is kept with the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.cells import size_of, words
from mlops.reports.document import Missing, Section, Table

if TYPE_CHECKING:
    from mlops.reports.facts import ReportData

TITLE = "Files"


def build(data: ReportData) -> Section | Missing:
    run = data.run
    if run.files is None:
        return Missing(TITLE, f"The files of this run could not be listed: {run.files_problem}.")
    if not run.files:
        return Missing(TITLE, "No files are kept with this run.")
    rows = tuple(
        (
            words(file.path),
            size_of(run, file),
        )
        for file in run.files
    )
    return Section(
        TITLE,
        (Table(("file", "size"), rows, f"{len(rows)} files" if len(rows) > 1 else "one file", folded=True),),
    )
