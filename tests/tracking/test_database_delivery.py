"""A store used directly, with no server: everything arrives, once, and what is refused stops nothing else."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric

from mlops.errors import BadSetting
from mlops.store.location import absolute_uri
from mlops.tracking import Tracker, ensure_store
from mlops.tracking.delivery.book import DeliveryBook
from mlops.tracking.system_metrics import SystemMetricsRecorder
from tests.tracking.stores import client_of, curve, doubled, runs_of, save_tiny_model


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = absolute_uri(f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}")
    ensure_store(uri)
    return uri


@pytest.fixture
def tracker(tmp_path: Path, store: str) -> Iterator[Tracker]:
    with Tracker(tmp_path / "home", store, deliver=False) as opened:
        yield opened


def _ensure(uri: str) -> None:
    ensure_store(uri)
    client_of(uri).search_experiments()


@pytest.mark.slow
def test_four_processes_start_together_on_a_new_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_ensure, args=(uri,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_whole_run_arrives_as_it_was_logged(tracker: Tracker, store: str, tmp_path: Path) -> None:
    picture = tmp_path / "matrix.png"
    picture.write_bytes(b"picture")
    study = tracker.start_run("whole", experiment="whole", name="study")
    run = tracker.start_run(
        "whole/0", experiment="whole", name="trial 0", parent="whole", tags={"mlops.system": "x"}
    )
    run.log_params({"lr0": 0.01, "classes": ["a", "b"]})
    for step in (1, 2, 3):
        run.log_epoch(
            step, {"val/mAP50": step / 10, "val/AP50/a (b)": math.nan, "val/loss": math.inf}, at=step * 1000
        )
    run.log_artifact(picture, "plots/val")
    run.log_dataset("cells", "ab" * 32, "/data/cells", "training", {"pictures": 7})
    run.log_model(
        save_tiny_model(tmp_path / "model"), "model", register_as="whole-model", version_tags={"k": "v"}
    )
    before_ms = time.time() * 1000
    run.finish()
    study.finish("KILLED")
    report = tracker.sync(60)
    assert (report.left, report.error) == (0, None)

    run_id = run.mlflow_id()
    assert run_id is not None
    client = client_of(store)
    found = client.get_run(run_id)
    assert found.data.params == {"lr0": "0.01", "classes": '["a", "b"]'}
    assert found.data.tags["mlflow.parentRunId"] == study.mlflow_id()
    assert found.data.tags["mlops.system"] == "x"
    assert found.info.status == "FINISHED" and abs(found.info.end_time - before_ms) < 2000
    assert client.get_run(str(study.mlflow_id())).info.status == "KILLED"
    assert curve(store, run_id, "val/mAP50") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert [m.timestamp for m in client.get_metric_history(run_id, "val/mAP50")] == [1000, 2000, 3000]
    assert all(math.isnan(value) for _, value in curve(store, run_id, "val/AP50/a _b_"))
    assert curve(store, run_id, "val/loss")[0][1] > 1e308
    assert [f.path for f in client.list_artifacts(run_id, "plots/val")] == ["plots/val/matrix.png"]
    assert found.inputs.dataset_inputs[0].dataset.name == "cells"
    version = client.get_model_version("whole-model", "1")
    assert (version.run_id, version.tags["k"], run.registered_version()) == (run_id, "v", 1)
    (output,) = found.outputs.model_outputs
    assert f"/{output.model_id}/" in str(version.source)
    assert doubled(store, "models:/whole-model/1") == [[2.0, 2.0]]
    assert not list((tmp_path / "home" / "spool").iterdir())


def test_the_same_key_goes_on_with_the_same_run(tracker: Tracker, store: str) -> None:
    run = tracker.start_run("again", experiment="again", name="n")
    run.log_epoch(1, {"a": 1.0})
    run.finish("FAILED")
    assert tracker.sync(60).left == 0
    again = tracker.start_run("again", experiment="again", name="n")
    assert tracker.sync(60).left == 0
    assert client_of(store).get_run(str(run.mlflow_id())).info.status == "RUNNING"
    again.log_epoch(1, {"a": 5.0})
    again.log_epoch(2, {"a": 2.0})
    again.finish()
    again.log_epoch(3, {"a": 3.0})
    assert tracker.sync(60).left == 0
    assert [r.info.status for r in runs_of(store, "again")] == ["FINISHED"]
    assert curve(store, str(run.mlflow_id()), "a") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_an_existing_run_is_adopted_and_its_params_stay(tracker: Tracker, store: str) -> None:
    client = client_of(store)
    existing = client.create_run(client.create_experiment("adopted")).info.run_id
    client.log_param(existing, "lr0", "0.5")
    run = tracker.start_run("adopting", experiment="other", name="study", adopt=existing)
    child = tracker.start_run("adopting/0", experiment="other", name="trial", parent="adopting")
    run.log_params({"lr0": 0.1, "seed": 3})
    assert tracker.sync(60).left == 0
    assert run.mlflow_id() == existing
    assert client.get_run(existing).data.params == {"lr0": "0.5", "seed": "3"}
    assert (
        client.get_run(str(child.mlflow_id())).info.experiment_id
        == client.get_run(existing).info.experiment_id
    )


def test_a_run_to_adopt_that_is_gone_is_made_anew(tracker: Tracker, store: str) -> None:
    run = tracker.start_run("orphan", experiment="orphan", name="n", adopt="0" * 32)
    run.log_epoch(1, {"a": 1.0})
    assert tracker.sync(60).left == 0
    assert curve(store, str(run.mlflow_id()), "a") == [(1, 1.0)]


def test_one_value_that_is_refused_is_parked_and_all_else_arrives(
    tracker: Tracker, store: str, tmp_path: Path
) -> None:
    run = tracker.start_run("poison", experiment="poison", name="n")
    for step in range(1, 101):
        run.log_epoch(step, {"a": float(step), "b": float(step)})
    run.log_metrics("poison", 0, {"good": 1.0}, at=-5)
    run.log_epoch(101, {"a": 101.0})
    run.finish()
    assert tracker.sync(60).left == 0
    run_id = str(run.mlflow_id())
    assert len(curve(store, run_id, "a")) == 101 and len(curve(store, run_id, "b")) == 100
    assert client_of(store).get_run(run_id).info.status == "FINISHED"
    (parked,) = DeliveryBook(tmp_path / "home").rejected(store)
    assert parked.run_key == "poison" and "timestamp" in parked.reason


def test_what_was_logged_to_a_deleted_run_waits_for_it_to_come_back(
    tracker: Tracker, store: str, tmp_path: Path
) -> None:
    run = tracker.start_run("deleted", experiment="deleted", name="n")
    other = tracker.start_run("beside", experiment="deleted", name="n")
    assert tracker.sync(60).left == 0
    client = client_of(store)
    client.delete_run(str(run.mlflow_id()))
    run.log_epoch(1, {"a": 1.0})
    run.log_params({"p": 1})
    other.log_epoch(1, {"a": 1.0})
    assert tracker.sync(60).left == 0
    book = DeliveryBook(tmp_path / "home")
    assert {entry.kind for entry in book.rejected(store)} == {"metrics", "params"}
    assert "mlflow runs restore" in book.rejected(store)[0].reason
    assert curve(store, str(other.mlflow_id()), "a") == [(1, 1.0)]
    client.restore_run(str(run.mlflow_id()))
    assert book.retry_rejected(store) == 2
    assert tracker.sync(60).left == 0
    assert curve(store, str(run.mlflow_id()), "a") == [(1, 1.0)]


def test_a_deleted_experiment_is_told_with_the_way_back(tracker: Tracker, store: str) -> None:
    client = client_of(store)
    experiment = client.create_experiment("gone")
    client.delete_experiment(experiment)
    run = tracker.start_run("in gone", experiment="gone", name="n")
    other = tracker.start_run("not in gone", experiment="alive", name="n")
    run.log_epoch(1, {"a": 1.0})
    report = tracker.sync(60)
    assert report.left == 2 and report.error is not None and f"--experiment-id {experiment}" in report.error
    assert other.mlflow_id() is not None
    client.restore_experiment(experiment)
    assert tracker.sync(60).left == 0
    assert curve(store, str(run.mlflow_id()), "a") == [(1, 1.0)]


def test_more_metrics_than_one_batch_holds_arrive(tracker: Tracker, store: str) -> None:
    run = tracker.start_run("many", experiment="many", name="n")
    run.log_epoch(1, {f"m/{n}": float(n) for n in range(2500)})
    run.log_params({f"p{n}": "x" * 7000 for n in range(150)})
    run.set_tags({f"t{n}": "x" * 9000 for n in range(150)})
    assert tracker.sync(60).left == 0
    found = client_of(store).get_run(str(run.mlflow_id()))
    assert len(found.data.metrics) == 2500 and len(found.data.params) == 150
    assert found.data.tags["t149"].endswith("…")


def test_a_row_that_two_batches_carry_waits_for_both(
    tracker: Tracker, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks between them."""
    run = tracker.start_run("split", experiment="split", name="n")
    run.log_epoch(1, {"first": 1.0})
    run.log_epoch(2, {f"m/{n}": float(n) for n in range(1500)})
    really, batches = MlflowClient.log_batch, []

    def log_batch(client: MlflowClient, run_id: str, metrics: Sequence[Metric] = (), **more: Any) -> Any:
        batches.append(len(metrics))
        if len(batches) == 2:
            raise requests.ConnectionError
        return really(client, run_id, metrics=metrics, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    while tracker.sync(60).left:
        continue
    assert batches == [1000, 501, 1000, 500]  # the first row is not sent again, the second whole
    assert len(client_of(store).get_run(str(run.mlflow_id())).data.metrics) == 1501


def test_the_machines_figures_go_on_after_a_resume(tracker: Tracker, store: str) -> None:
    for _ in range(2):
        run = tracker.start_run("machine", experiment="machine", name="n")
        with SystemMetricsRecorder(run, sample_s=0.1, samples=2):
            time.sleep(0.5)
    assert tracker.sync(60).left == 0
    points = curve(store, str(run.mlflow_id()), "system/cpu_utilization_percentage")
    assert [step for step, _ in points] == list(range(len(points))) and len(points) >= 4


def test_a_store_of_an_unknown_kind_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="sqlite:///FILE"):
        Tracker(tmp_path, "ftp://somewhere/else")
    with pytest.raises(BadSetting, match="sqlite:///FILE"):
        Tracker(tmp_path, "http://[half")
