"""With the server down from start to end, a whole training is kept, and `mlops sync` delivers all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.command import Shell, tiny
from tests.tracking.servers import MlflowServer

pytestmark = pytest.mark.slow
EPOCHS = 3


def test_a_training_while_the_server_is_down_is_delivered_by_sync(tmp_path: Path, tiny_cells: Path) -> None:
    (tmp_path / "server").mkdir()
    server = MlflowServer(tmp_path / "server")
    shell = Shell(tmp_path / "work", tracking_uri=server.url)
    shell.folder.mkdir()
    given = ["train", "--data", str(tiny_cells), *tiny(f"epochs={EPOCHS}"), "--json"]
    outcome = json.loads(shell.succeed(*given, timeout_s=600))
    assert outcome["left"] > 0 and outcome["version"] is None
    server.up()
    try:
        shell.succeed("sync", timeout_s=300)
        client = MlflowClient(server.url)
        experiment = client.get_experiment_by_name("blood-cell-classifier")
        assert experiment is not None
        found = {run.data.tags["mlops.kind"]: run for run in client.search_runs([experiment.experiment_id])}
        assert {run.info.status for run in found.values()} == {"FINISHED"}
        trial = found["training"]
        assert trial.data.tags["mlflow.parentRunId"] == found["study"].info.run_id
        for name in ("train/loss", "val/macro_f1", "lr/head"):
            history = client.get_metric_history(trial.info.run_id, name)
            assert sorted(point.step for point in history) == list(range(1, EPOCHS + 1))
        assert trial.data.metrics["test/macro_f1"] == pytest.approx(outcome["test"]["test/macro_f1"])
        assert [f.path for f in client.list_artifacts(trial.info.run_id, "weights")] == [
            "weights/best.safetensors",
            "weights/last.safetensors",
        ]
        [version] = client.search_model_versions("name = 'blood-cell-classifier'")
        assert version.run_id == trial.info.run_id and version.tags["mlops.system"]
        again = json.loads(shell.succeed(*given, timeout_s=300))
        assert again["left"] == 0 and again["version"] == 1
    finally:
        server.down()
