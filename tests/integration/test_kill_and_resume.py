"""Killed at any moment, the same command goes on, and the record neither lacks nor doubles anything."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.command import Shell, tiny

EPOCHS = 12
KILLS = 10


def train_arguments(data: Path, *more: str) -> list[str]:
    return [
        "train",
        "blood-cell-classifier",
        "--data",
        str(data),
        *tiny(f"epochs={EPOCHS}", "patience=0"),
        *more,
    ]


def runs_of_kind(shell: Shell, kind: str) -> list[Run]:
    client = MlflowClient(shell.store)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`mlops.kind` = '{kind}'"))


def steps(shell: Shell, run: Run, metric: str) -> list[int]:
    return sorted(
        point.step for point in MlflowClient(shell.store).get_metric_history(run.info.run_id, metric)
    )


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_kills_at_random_moments_lose_and_double_nothing(shell: Shell, tiny_cells: Path) -> None:
    moments = random.Random(7)
    arguments = train_arguments(tiny_cells, "--study", "killed")
    for _ in range(KILLS):
        process = shell.start(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(6.0, 22.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    outcome = json.loads(shell.succeed(*arguments, "--json", timeout_s=600))
    [trial] = runs_of_kind(shell, "training")
    [study] = runs_of_kind(shell, "study")
    assert trial.info.status == study.info.status == "FINISHED"
    assert outcome["best_run_id"] == trial.info.run_id
    every_epoch = list(range(1, EPOCHS + 1))
    curves = [name for name in trial.data.metrics if name.startswith(("train/", "val/", "lr/", "time/"))]
    assert "val/macro_f1" in curves
    assert {name: steps(shell, trial, name) for name in curves} == dict.fromkeys(curves, every_epoch)
    assert outcome["version"] == 1
    assert len(MlflowClient(shell.store).search_model_versions("name = 'blood-cell-classifier'")) == 1


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_marks_the_runs_killed_and_the_same_command_goes_on(
    shell: Shell, tiny_cells: Path, ending: signal.Signals, code: int
) -> None:
    arguments = train_arguments(tiny_cells)
    process = shell.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_an_epoch(shell)
    process.send_signal(ending)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert {run.info.status for kind in ("study", "training") for run in runs_of_kind(shell, kind)} == {
        "KILLED"
    }
    shell.succeed(*arguments)
    [trial] = runs_of_kind(shell, "training")
    assert trial.info.status == "FINISHED"
    assert steps(shell, trial, "val/macro_f1") == list(range(1, EPOCHS + 1))


def wait_for_an_epoch(shell: Shell, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if list((shell.folder / ".mlops").glob("studies/*/trial-000/**/last.*")):
            return
        time.sleep(0.2)
    raise AssertionError("no checkpoint appeared")


def test_a_killed_worker_fails_its_trial_alone_and_the_search_goes_on(shell: Shell, tiny_cells: Path) -> None:
    arguments = train_arguments(tiny_cells, "--trials", "3", "--parallel", "2", "--json")
    process = shell.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_an_epoch(shell)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "mlops.search.engines.worker" in child.cmdline()
    ]
    assert len(workers) == 2
    workers[0].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    lines = json.loads(out)["trials"]
    failed = [line for line in lines if line["state"] == "failed"]
    assert len(lines) == 3 and len(failed) == 1 and "signal 9" in failed[0]["says"]
    by_number = {int(run.data.tags["mlops.trial"]): run for run in runs_of_kind(shell, "training")}
    lost = by_number.pop(failed[0]["number"])
    assert lost.info.status == "FAILED" and "signal 9" in lost.data.tags["mlops.failure"]
    assert {run.info.status for run in by_number.values()} == {"FINISHED"}
