"""Completed, failed and killed trainings, their durations, and why they ended."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.cells import UNKNOWN, Cells, words
from mlops.reports.document import Cell, MissingSection, ReportTable, Section, Text, ValueSource
from mlops.reports.metric_labels import label
from mlops.reports.sections.overview import moment

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData, RunFacts

TITLE = "Training sessions"
_FIRST = ("training", "started", "duration", "epochs")
_STATUS = {
    "FINISHED": "completed",
    "FAILED": "failed",
    "KILLED": "killed",
    "RUNNING": "running",
    "SCHEDULED": "waiting",
}


def build(data: ReportData) -> Section | MissingSection:
    if not data.sessions:
        return MissingSection(TITLE, "No other training is recorded in this experiment.")
    headline = next((key for session in data.sessions for key in session.curves), "")
    done = [session for session in data.sessions if session.status == "FINISHED"]
    others = [session for session in data.sessions if session.status != "FINISHED"]
    told = label(headline) if headline else "figure"
    tables = []
    if done:
        columns: tuple[str, ...] = (
            "training",
            "started",
            "duration",
            "epochs",
            f"highest {told}",
            f"final {told}",
            "",
        )
        rows = tuple(_row(data, session, headline) for session in done)
        tables.append(ReportTable(columns, rows, "completed"))
    if others:
        columns = (*_FIRST, "status", "reason")
        rows = tuple(_stopped(data, session, headline) for session in others)
        tables.append(ReportTable(columns, rows, "failed, killed and running"))
    counted = Counter(_word(session) for session in data.sessions)
    says = (
        f"{len(data.sessions)} training{'s' if len(data.sessions) > 1 else ''}: "
        + ", ".join(f"{n} {word}" for word, n in counted.most_common())
        + "."
    )
    sources = tuple(ValueSource(session.run_id, "info", "status") for session in data.sessions)
    return Section(TITLE, (Text(says, sources), *tables))


def _word(session: RunFacts) -> str:
    return "pruned" if _pruned(session) else _STATUS.get(session.status, session.status.lower() or "unknown")


def _pruned(session: RunFacts) -> bool:
    return session.tags.get("mlops.pruned") == "true"


def _row(data: ReportData, session: RunFacts, headline: str) -> tuple[Cell, ...]:
    cells = Cells(session)
    curve = session.curve(headline)
    finite = curve.finite() if curve else None
    highest = final = UNKNOWN
    if finite is not None and finite.values:
        top = max(finite.values)
        at = finite.steps[finite.values.index(top)]
        highest = cells.worked(cells.text(headline, top), top, "read", cells.source(headline, str(at)))
        final = cells.at(headline, finite.steps[-1])
    return (
        *_start(data, cells),
        _done(cells, headline),
        highest,
        final,
        words("pruned" if _pruned(session) else ""),
    )


def _stopped(data: ReportData, session: RunFacts, headline: str) -> tuple[Cell, ...]:
    cells = Cells(session)
    tag = next((t for t in ("mlops.failure", "mlops.ended") if session.tags.get(t)), None)
    why = cells.tag(tag, 300) if tag else words("not recorded" if session.status != "RUNNING" else "")
    return (*_start(data, cells), _done(cells, headline), cells.info(_word(session), "status"), why)


def _start(data: ReportData, cells: Cells) -> tuple[Cell, Cell, Cell]:
    session = cells.run
    mark = " (this one)" if session.run_id == data.run.run_id else ""
    if session.ended_ms is None:
        took = words("not ended")
    else:
        took = cells.info(number_format.duration(session.wall_s), "end_time - start_time", session.wall_s)
    started = cells.info(moment(session.started_ms), "start_time")
    return cells.info((session.name or session.run_id) + mark, "name"), started, took


def _done(cells: Cells, headline: str) -> Cell:
    curve = cells.run.curve(headline)
    if curve is None or not curve.steps:
        return words("0" if not math.isfinite(cells.run.latest.get(headline, math.nan)) else "-")
    last, planned = curve.steps[-1], cells.run.planned_epochs
    of = f" of {planned}" if planned is not None and planned != last else ""
    return Cell(f"{last}{of}", float(last), "last epoch", (cells.source(headline, str(last)),))
