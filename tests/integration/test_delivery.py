"""A real MLflow server: what was accepted arrives once, whatever becomes of the server, the network or us."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlops.tracking import SyncReport, Tracker
from mlops.tracking.delivery.book import DeliveryBook
from mlops.tracking.outbox.entries import EntryKind
from registry.ledger.log import read
from tests.command import Shell
from tests.tracking.servers import MlflowServer, faulty_way
from tests.tracking.stores import client_of, curve, doubled, runs_of, save_tiny_model
from tests.tracking.writers import METRICS, figures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One server for all tests here; a test that needs it calls `up`."""
    made = MlflowServer(tmp_path_factory.mktemp("server"))
    yield made
    made.down()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "model")


def log_a_whole_run(tracker: Tracker, name: str, model: Path, folder: Path, epochs: int = 5) -> None:
    """A study with one trial that uses everything a run can be given."""
    results = folder / f"{name}.csv"
    results.write_text("epoch,loss\n1,0.5\n")
    study = tracker.start_run(name, experiment=name, name="study", tags={"mlops.study": name})
    trial = tracker.start_run(f"{name}/0", experiment=name, name="trial 0", parent=name)
    trial.log_params({f"p{n}": n / 10 for n in range(120)})
    trial.set_tags({"mlops.system": "oct-detector"})
    for step in range(1, epochs + 1):
        trial.log_epoch(step, figures(step), at=1_700_000_000_000 + step)
    trial.log_summary("test", {"test/mAP50": 0.75})
    trial.log_artifact(results, "curves")
    trial.log_dataset("oct", "ab" * 32, "/data/oct", "training", {"pictures": 7})
    trial.log_model(model, "model", register_as=name, version_tags={"mlops.demo": "true"}, alias="newest")
    trial.finish()
    study.finish()


def assert_it_is_there_once(uri: str, name: str, epochs: int = 5) -> None:
    client = client_of(uri)
    by_name = {run.info.run_name: run for run in runs_of(uri, name)}
    assert len(runs_of(uri, name)) == 2
    trial, study = by_name["trial 0"], by_name["study"]
    run_id = trial.info.run_id
    assert trial.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert (trial.info.status, study.info.status) == ("FINISHED", "FINISHED")
    assert trial.data.params == {f"p{n}": str(n / 10) for n in range(120)}
    assert trial.data.tags["mlops.system"] == "oct-detector"
    for metric in figures(1):
        assert curve(uri, run_id, metric) == [(s, figures(s)[metric]) for s in range(1, epochs + 1)]
    assert curve(uri, run_id, "test/mAP50") == [(0, 0.75)]
    assert [f.path for f in client.list_artifacts(run_id, "curves")] == [f"curves/{name}.csv"]
    assert [i.dataset.name for i in trial.inputs.dataset_inputs] == ["oct"]
    versions = client.search_model_versions(f"name = '{name}'")
    assert [(str(v.version), v.run_id, v.tags["mlops.demo"]) for v in versions] == [("1", run_id, "true")]
    (entry,) = read(name, client)
    assert (entry.action, entry.version) == ("register", "1") and entry.origin["run_id"] == run_id
    assert json.loads(entry.origin["metrics"]) == {"test/mAP50": 0.75}
    assert client.get_model_version_by_alias(name, "newest").run_id == run_id
    assert len(client.search_logged_models([trial.info.experiment_id])) == 1
    assert len(trial.outputs.model_outputs) == 1
    assert doubled(uri, f"models:/{name}/1") == [[2.0, 2.0]]


def sync_until_done(tracker: Tracker, tries: int = 60) -> SyncReport:
    """Ask again and again, as a user would."""
    report = tracker.sync(60)
    while report.left and (tries := tries - 1):
        report = tracker.sync(60)
    return report


def points_of(server: MlflowServer, run_id: str) -> int:
    """Every metric row that the server's database holds for a run, doubles included."""
    with closing(sqlite3.connect(server.database)) as db:
        return int(db.execute("SELECT count(*) FROM metrics WHERE run_uuid = ?", (run_id,)).fetchone()[0])


def test_with_the_server_down_from_start_to_end_sync_delivers_everything(
    server: MlflowServer, model: Path, shell: Shell, tmp_path: Path
) -> None:
    server.down()
    with Tracker(tmp_path / ".mlops", server.url) as tracker:
        log_a_whole_run(tracker, "outage", model, tmp_path)
    away = shell.run("sync")
    assert away.returncode == 1 and "Traceback" not in away.stderr
    assert "entries not delivered" in away.stderr and "does not answer" in away.stderr
    server.up()
    (result,) = json.loads(shell.succeed("sync", "--json"))
    assert (result["left"], result["error"], result["rejected"]) == (0, None, [])
    assert_it_is_there_once(server.url, "outage")
    assert "Nothing" not in shell.succeed("sync") and not list((tmp_path / ".mlops" / "spool").iterdir())


def test_a_lost_answer_to_any_request_doubles_nothing(
    server: MlflowServer, model: Path, tmp_path: Path
) -> None:
    server.up()
    with (
        faulty_way(server.url, lose_first_answers=True) as way,
        Tracker(tmp_path / "home", way.url, deliver=False) as tracker,
    ):
        log_a_whole_run(tracker, "lost", model, tmp_path)
        assert sync_until_done(tracker).left == 0
        assert len(way.lost) >= 10, way.lost
    assert_it_is_there_once(server.url, "lost")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_refuses_costs_nothing_but_time(
    server: MlflowServer, tmp_path: Path, status: int
) -> None:
    server.up()
    with (
        faulty_way(server.url, refuse_with=status) as way,
        Tracker(tmp_path / "home", way.url, deliver=False) as tracker,
    ):
        for n in range(8):
            run = tracker.start_run(f"refused-{n}", experiment=f"refused-{status}", name=f"run {n}")
            run.log_epoch(1, figures(1))
        report = tracker.sync(20)
        assert report.left == 16 and report.error
        way.refuse_with = 0
        assert sync_until_done(tracker).left == 0
    found = runs_of(server.url, f"refused-{status}")
    assert sorted(run.info.run_name for run in found) == [f"run {n}" for n in range(8)]
    assert all(len(run.data.metrics) == METRICS for run in found)


def test_what_the_server_always_fails_on_does_not_keep_the_others_back(
    server: MlflowServer, tmp_path: Path
) -> None:
    """Times that it refuses, and text that its database cannot hold: for that it answers 500, each time."""
    server.up()
    with Tracker(tmp_path / "home", server.url, deliver=False) as tracker:
        poisoned = tracker.start_run("poisoned", experiment="poison", name="poisoned")
        for n in range(8):
            poisoned.log_metrics(f"early {n}", 0, {"early": 1.0, "a": 1.0}, at=-1 - n)
            tracker._outbox.accept(poisoned._row, EntryKind.TAGS, {f"bad{n}": "\ud800"})
        poisoned.set_tags({"good": "yes"})
        for step in range(1, 201):
            poisoned.log_epoch(step, {"a": float(step)})
        poisoned.finish()
        beside = tracker.start_run("beside", experiment="poison", name="beside")
        beside.log_epoch(1, {"a": 1.0})
        beside.finish()
        left = [tracker.sync(30).left for _ in range(4)]
    assert left[-1] == 8
    steps = [step for step, _ in curve(server.url, str(poisoned.mlflow_id()), "a")]
    assert steps == list(range(1, 201))
    assert client_of(server.url).get_run(str(poisoned.mlflow_id())).data.tags["good"] == "yes"
    assert curve(server.url, str(beside.mlflow_id()), "a") == [(1, 1.0)]
    book = DeliveryBook(tmp_path / "home")
    assert {entry.kind for entry in book.rejected(server.url)} == {"metrics"}
    assert {run.info.status for run in runs_of(server.url, "poison")} == {"FINISHED"}


def writer(home: Path, uri: str, key: str, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.tracking.writers", str(home), uri, key, "1", str(last), "deliver"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_again_and_again_while_it_delivers_loses_and_doubles_nothing(
    server: MlflowServer, tmp_path: Path
) -> None:
    server.up()
    moments, accepted = random.Random(11), 0
    for _ in range(4):
        process = writer(tmp_path / "home", server.url, "killed", 20_000)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.2, 3.0))
        os.kill(process.pid, signal.SIGKILL)
        printed = process.stdout.read().splitlines()
        accepted = max(accepted, *(int(line) for line in printed[:-1]))
        process.wait()
    with Tracker(tmp_path / "home", server.url, deliver=False) as tracker:
        reached = tracker.run("killed").last_step() or 0
        assert reached >= accepted
        assert sync_until_done(tracker).left == 0
        run_id = str(tracker.run("killed").mlflow_id())
    assert len(runs_of(server.url, "writers")) == 1
    assert points_of(server, run_id) == reached * METRICS
    assert curve(server.url, run_id, "val/figure_3") == [(s, s + 0.03) for s in range(1, reached + 1)]


def test_a_server_that_dies_halfway_and_two_who_deliver_at_once(
    server: MlflowServer, shell: Shell, tmp_path: Path
) -> None:
    server.up()
    epochs = 600
    with Tracker(tmp_path / ".mlops", server.url, deliver=False) as tracker:
        run = tracker.start_run("halfway", experiment="halfway", name="n")
        for step in range(1, epochs + 1):
            run.log_epoch(step, figures(step))
        run.finish()
        reports: list[SyncReport] = []
        syncing = threading.Thread(target=lambda: reports.append(tracker.sync(60)))
        syncing.start()
        book = DeliveryBook(tmp_path / ".mlops")
        while book.counts(server.url).delivered < 150:
            time.sleep(0.02)
        server.down()
        syncing.join()
        assert 0 < reports[0].left < epochs and reports[0].error is not None
        server.up()
        both = [shell.start("sync", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        said = [process.communicate(timeout=120) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert points_of(server, str(run.mlflow_id())) == epochs * METRICS
    (found,) = runs_of(server.url, "halfway")
    assert found.info.status == "FINISHED"
