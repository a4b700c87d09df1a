"""All sections of a report, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.sections import (
    anomalies,
    balance,
    checkpoints,
    classes,
    configuration,
    convergence,
    criteria,
    dataset,
    files,
    generalisation,
    losses,
    overview,
    progression,
    rates,
    results,
    search,
    sessions,
    stability,
    time_use,
)

if TYPE_CHECKING:
    from mlops.reports.document import Missing, Section
    from mlops.reports.facts import ReportData

_IN_ORDER = (
    *(overview, criteria, results, configuration, dataset, progression, losses, convergence, stability),
    *(generalisation, rates, classes, anomalies, balance, search, time_use, sessions, checkpoints, files),
)


def build_all(data: ReportData) -> tuple[Section | Missing, ...]:
    """Every section of the report."""
    return tuple(section.build(data) for section in _IN_ORDER)
