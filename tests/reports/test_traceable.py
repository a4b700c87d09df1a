"""Every figure of a report is found in MLflow where the report says it was read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops.reports.reading.report_data import read_subject
from mlops.reports.report import report_of, write_report
from tests.reports.past import Desk, line
from tests.reports.studies import Trial, record_study
from tests.reports.trace import Trace, cells_of

SCORES = (0.5, 0.62, 0.7, 0.72, 0.75, 0.74)


@pytest.fixture(scope="module")
def written(desk: Desk) -> Path:
    trials = [Trial(0.001 * (i + 1), [s - 0.01 * i for s in SCORES], pruned=i == 3) for i in range(6)]
    record_study(desk.uri, desk.folder / "home", "traced", trials, "traceable")
    report = report_of(read_subject(desk.client, "traced"))
    return write_report(report, desk.folder / "traced").sources


def test_every_figure_is_found_where_the_report_says(desk: Desk, written: Path) -> None:
    report = json.loads(written.read_text())
    assert sum(cell.get("value") is not None for cell in cells_of(report)) > 100
    assert list(Trace(desk.client).faults(report)) == []


def test_a_figure_that_is_not_in_the_store_would_be_seen(desk: Desk, written: Path) -> None:
    report = json.loads(written.read_text())
    read = [cell for cell in cells_of(report) if cell.get("rule") == "read" and "metric" in cell["from"][0]]
    mean = [cell for cell in cells_of(report) if cell.get("rule") == "mean"]
    read[0]["value"] += 0.001
    mean[0]["value"] *= 1.01
    read[1]["from"][0]["steps"] = "99"
    assert len(list(Trace(desk.client).faults(report))) == 3


def test_figures_of_an_imported_run_are_found_too(desk: Desk) -> None:
    columns = {"train/box_loss": line((1, 0.9), (40, 0.3)), "metrics/mAP50(B)": line((1, 0.3), (40, 0.8))}
    run = desk.ultralytics("traced-import", columns, {"epochs": 40}, experiment="traceable")
    written = write_report(report_of(read_subject(desk.client, run)), desk.folder / "traced-import-report")
    assert list(Trace(desk.client).faults(json.loads(written.sources.read_text()))) == []
