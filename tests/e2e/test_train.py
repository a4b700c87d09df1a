"""`mlops train` on demo data: what is in MLflow afterwards, and what the model answers."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from registry.ledger.log import read
from tests.command import Shell, tiny

pytestmark = pytest.mark.slow

DETECTOR = ("epochs=2", "image_size=64", "batch=8", "workers=0", "weights=none", "patience=0")


def runs(shell: Shell) -> list[Run]:
    client = MlflowClient(shell.store)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def files_below(client: MlflowClient, run_id: str, folder: str = "") -> list[str]:
    found: list[str] = []
    for entry in client.list_artifacts(run_id, folder or None):
        found += files_below(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return found


def test_a_search_leaves_study_trials_curves_figures_and_a_version(shell: Shell, tiny_cells: Path) -> None:
    given = ["train", "--data", str(tiny_cells), *tiny("epochs=5", "patience=0"), "--trials", "6"]
    outcome = json.loads(shell.succeed(*given, "--parallel", "2", "--json", timeout_s=900))
    client = MlflowClient(shell.store)
    by_kind = {
        kind: [run for run in runs(shell) if run.data.tags.get("mlops.kind") == kind]
        for kind in ("study", "training")
    }
    [study] = by_kind["study"]
    trials = by_kind["training"]
    assert {run.info.status for run in [study, *trials]} == {"FINISHED"}
    assert len(outcome["trials"]) == len(trials) == 6
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {study.info.run_id}
    assert {run.data.tags["mlops.demo"] for run in trials} == {"true"}
    for run in [study, *trials]:
        assert len(run.data.tags["mlops.dataset_digest"]) == 64
        digest = run.inputs.dataset_inputs[0].dataset.digest  # MLflow keeps 36 characters of it
        assert len(digest) == 36 and run.data.tags["mlops.dataset_digest"].startswith(digest)

    by_number = {int(run.data.tags["mlops.trial"]): run for run in trials}
    assert by_number[0].info.run_name == "trial 0: recipe"
    assert by_number[0].data.params["lr"] == "0.002", "trial 0 is the recipe"
    assert len({run.info.run_name for run in trials}) == 6
    for line in outcome["trials"]:
        history = client.get_metric_history(by_number[line["number"]].info.run_id, "val/macro_f1")
        assert sorted(point.step for point in history) == list(range(1, line["epochs"] + 1))
    states = Counter(line["state"] for line in outcome["trials"])
    assert states["complete"] >= 4 and set(states) <= {"complete", "pruned"}

    best = max((t for t in outcome["trials"] if t["state"] == "complete"), key=lambda t: t["value"])
    assert outcome["best_trial"] == best["number"] and best["value"] >= outcome["trials"][0]["value"]
    drawn = files_below(client, study.info.run_id, "study")
    assert {"study/trials.csv", "study/optimization_history.html", "study/optimization_history.png"} <= set(
        drawn
    )
    kept = set(files_below(client, outcome["best_run_id"]))
    for name in ("args.yaml", "results.csv", "results.png", "confusion_matrix.png", "labels.png"):
        assert f"training/{name}" in kept
    assert {"weights/best.safetensors", "weights/last.safetensors", "test/predictions.parquet"} <= kept

    version = client.get_model_version("blood-cell-classifier", str(outcome["version"]))
    assert version.run_id == outcome["best_run_id"]
    for tag in ("system", "dataset_digest", "recipe_digest", "code_commit", "licence", "class_map"):
        assert version.tags[f"mlops.{tag}"]
    (entry,) = read("blood-cell-classifier", client)
    assert (entry.action, entry.version) == ("register", "1") and {"MLmodel", "model.onnx"} <= set(
        entry.file_digests
    )
    own = {"weights/best.safetensors", "test/predictions.parquet", "study:data/data_faults.json"}
    assert set(entry.run_file_digests) == own
    assert entry.origin["run_id"] == outcome["best_run_id"] and "late" not in entry.origin
    assert {"data_digest", "recipe_digest", "code_commit", "trained_by"} <= set(entry.origin)
    shell.succeed("registry", "verify", "blood-cell-classifier")

    mlflow.set_tracking_uri(shell.store)
    model = mlflow.pyfunc.load_model(f"models:/blood-cell-classifier/{outcome['version']}")
    for pictures in (1, 5):
        answer = model.predict({"image": [picture_file()] * pictures})
        assert len(answer) == pictures
        for row in answer.to_dict("records"):
            assert len(row["probabilities"]) == 8 and row["class"] in row["probabilities"]
            assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_the_best_of_short_trials_is_fitted_at_full_length(shell: Shell, tiny_cells: Path) -> None:
    short = tiny("epochs=4", "patience=0", "search.trial_epochs=2")
    given = ["train", "--data", str(tiny_cells), *short, "--trials", "2", "--json"]
    outcome = json.loads(shell.succeed(*given, timeout_s=900))
    assert [line["epochs"] for line in outcome["trials"]] == [2, 2]
    [final] = [run for run in runs(shell) if run.data.tags.get("mlops.trial") == "final"]
    assert final.info.run_name == f"final fit of trial {outcome['best_trial']}"
    history = MlflowClient(shell.store).get_metric_history(final.info.run_id, "val/macro_f1")
    assert sorted(point.step for point in history) == [1, 2, 3, 4]
    version = MlflowClient(shell.store).get_model_version("blood-cell-classifier", "1")
    assert version.run_id == outcome["best_run_id"] == final.info.run_id


def test_a_finished_study_answers_again_at_once_and_adds_nothing(shell: Shell, tiny_cells: Path) -> None:
    given = ["train", "--data", str(tiny_cells), *tiny("epochs=1"), "--json"]
    first = json.loads(shell.succeed(*given))
    second = json.loads(shell.succeed(*given))
    assert second == first
    assert len(runs(shell)) == 2
    more = json.loads(shell.succeed(*given, "--trials", "2"))
    assert more["trials"][0] == first["trials"][0] and len(more["trials"]) == 2


@pytest.mark.parametrize("system", ["railway-detector", "xray-detector", "oct-detector"])
def test_a_detector_trains_on_demo_data(shell: Shell, system: str) -> None:
    settings = [part for setting in DETECTOR for part in ("--set", setting)]
    outcome = json.loads(shell.succeed("train", system, *settings, "--json", timeout_s=900))
    assert outcome["version"] == 1 and outcome["demo"]
    [trial] = [run for run in runs(shell) if run.data.tags.get("mlops.kind") == "training"]
    for name in ("train/box_loss", "val/box_loss", "val/mAP50", "val/mAP50-95", "val/recall", "time/epoch_s"):
        history = MlflowClient(shell.store).get_metric_history(trial.info.run_id, name)
        assert sorted(point.step for point in history) == [1, 2], name
    assert {"test/mAP50", "test/mAP50-95"} <= trial.data.metrics.keys()
    mlflow.set_tracking_uri(shell.store)
    model = mlflow.pyfunc.load_model(f"models:/{system}/1")
    answer = model.predict({"image": [picture_file()] * 3}, params={"score": 0.0})
    assert len(answer) == 3 and {len(row) for row in answer.boxes[0]} == {4}


def picture_file() -> bytes:
    """A picture of 40 x 30 as the bytes of a JPEG file."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()
