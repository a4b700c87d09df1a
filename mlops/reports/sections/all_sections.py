"""All sections of a report, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.sections import (
    anomalies,
    curves,
    data_used,
    generalisation,
    learning_rate,
    overview,
    per_class,
    results,
    sessions,
    stored_files,
    task_balance,
    time_use,
    trials,
)

if TYPE_CHECKING:
    from mlops.reports.document import MissingSection, Section
    from mlops.reports.tracked_facts import ReportData

_IN_ORDER = (
    *(overview.build, results.build_criteria, results.build, overview.build_configuration, data_used.build),
    *(curves.build_progression, curves.build_losses, curves.build, curves.build_stability),
    *(generalisation.build, learning_rate.build, per_class.build, anomalies.build, task_balance.build),
    *(trials.build, time_use.build, sessions.build, stored_files.build, stored_files.build_files),
)


def build_all(data: ReportData) -> tuple[Section | MissingSection, ...]:
    """Every section of the report."""
    return tuple(build(data) for build in _IN_ORDER)
