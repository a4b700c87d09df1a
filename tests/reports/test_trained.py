"""The report of what `mlops train` recorded, from a server, as a user makes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.command import Shell, tiny
from tests.reports.trace import Trace, cells_of
from tests.tracking.servers import MlflowServer


@pytest.mark.slow
def test_a_trained_model_is_reported_from_a_server(tmp_path: Path, tiny_cells: Path) -> None:
    """Every section but those of a search and of several tasks is there, every figure is found on the server,
    and the report is among the run's files."""
    (tmp_path / "server").mkdir()
    server = MlflowServer(tmp_path / "server")
    server.up()
    try:
        shell = Shell(tmp_path, tracking_uri=server.url)
        shell.succeed("train", "blood-cell-classifier", "--data", str(tiny_cells), "--epochs", "3", *tiny())
        told = json.loads(shell.succeed("report", "blood-cell-classifier", "--out", "mine", "--json"))
        assert set(told["report"]["left_out"]) == {"Search", "Balance of the tasks"}
        report = json.loads((tmp_path / "mine" / "report.json").read_text())
        client = MlflowClient(server.url, server.url)
        assert list(Trace(client).faults(report)) == []
        counted = [
            cell
            for cell in cells_of(report)
            if cell.get("from", [{}])[0].get("dataset", "").startswith("counts.train.")
        ]
        assert len(counted) >= 8
        assert sum(cell["value"] for cell in counted[:8]) > 8
        logged = {item.path for item in client.list_artifacts(told["logged_to"], "report")}
        assert "report/report.html" in logged
    finally:
        server.down()
