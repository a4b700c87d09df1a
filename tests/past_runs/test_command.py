"""`mlops import-run` as a user meets it. What loads MLflow runs in this process, which has it loaded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Run

from mlops.cli.main import run
from tests.command import Shell
from tests.past_runs.folders import EPOCH_S, STARTED_S, line, run_folder, table
from tests.tracking.stores import client_of, curve, runs_of

Mlops = Callable[..., tuple[str, str]]


@pytest.fixture
def mlops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mlops:
    """Run a command in `tmp_path`; gives what it printed, and what it said besides."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "MLOPS_"))]:
        monkeypatch.delenv(name)

    def run_command(*arguments: str) -> tuple[str, str]:
        code = run(list(arguments))
        out, err = capsys.readouterr()
        assert code == 0, out + err
        return out, err

    return run_command


def one_run(shell: Shell, experiment: str) -> Run:
    (run,) = runs_of(shell.store, experiment)
    return run


def test_a_folder_becomes_a_run_with_its_own_times_and_files(
    mlops: Mlops, shell: Shell, tmp_path: Path
) -> None:
    run_folder(tmp_path / "yolo11n", plot=True)
    out = json.loads(mlops("import-run", "yolo11n", "--system", "railway-detector", "--json")[0])
    past = one_run(shell, "railway-detector")
    assert out["left"] == 0 and out["run_ids"] == [past.info.run_id] and out["runs"][0]["new_epochs"] == 3
    assert (past.info.run_name, past.info.status) == ("yolo11n", "FINISHED")
    assert past.info.start_time == STARTED_S * 1000
    assert past.info.end_time == int((STARTED_S + 3 * EPOCH_S) * 1000)
    points = client_of(shell.store).get_metric_history(past.info.run_id, "val/mAP50-95")
    assert [(p.step, p.value, p.timestamp) for p in points] == [
        (i, 0.8 + i / 1000, int((STARTED_S + i * EPOCH_S) * 1000)) for i in (1, 2, 3)
    ]
    assert past.data.params["image_size"] == "640" and past.data.metrics["best/epoch"] == 3
    tags = past.data.tags
    assert (tags["mlops.imported"], tags["mlops.system"]) == ("ultralytics", "railway-detector")
    files = {f.path for f in client_of(shell.store).list_artifacts(past.info.run_id, "weights")}
    assert files == {"weights/best.pt", "weights/last.pt"}


def test_twice_adds_nothing_and_a_run_that_has_grown_gets_its_new_epochs(
    mlops: Mlops, shell: Shell, tmp_path: Path
) -> None:
    asked = "epochs: 3\npatience: 0\nname: a\n"
    folder = run_folder(tmp_path / "a", arguments=asked, results=table((1, 2)))
    mlops("import-run", "a")
    first = one_run(shell, "imported")
    again = json.loads(mlops("import-run", "a", "--json")[0])["runs"][0]
    assert again["unchanged"]
    assert one_run(shell, "imported").data.to_dictionary() == first.data.to_dictionary()
    assert first.info.status == "KILLED"
    run_folder(folder, arguments=asked)
    grown = json.loads(mlops("import-run", "a", "--json")[0])["runs"][0]
    past = one_run(shell, "imported")
    assert grown["new_epochs"] == 1 and past.info.run_id == first.info.run_id
    assert past.info.status == "FINISHED" and past.data.metrics["best/epoch"] == 3
    assert [step for step, _ in curve(shell.store, past.info.run_id, "val/mAP50")] == [1, 2, 3]


def test_another_machine_that_imports_the_same_run_finds_it_on_the_store(
    mlops: Mlops, shell: Shell, tmp_path: Path
) -> None:
    run_folder(tmp_path / "a")
    mlops("import-run", "a")
    shutil.rmtree(tmp_path / ".mlops")
    mlops("import-run", "a")
    past = one_run(shell, "imported")
    assert [step for step, _ in curve(shell.store, past.info.run_id, "val/mAP50")] == [1, 2, 3]


def test_with_the_server_away_the_run_is_kept_and_told_to_wait(tmp_path: Path) -> None:
    shell = Shell(tmp_path, tracking_uri="http://127.0.0.1:9")
    run_folder(tmp_path / "a")
    out = shell.succeed("import-run", "a")
    assert "not delivered yet" in out and "mlops sync" in out


def test_failed_and_stopped_runs_are_imported_together_with_the_others(
    mlops: Mlops, shell: Shell, tmp_path: Path
) -> None:
    run_folder(tmp_path / "runs" / "whole", arguments="epochs: 3\nname: whole\n")
    run_folder(tmp_path / "runs" / "failed", arguments="epochs: 3\nname: failed\n", results="")
    stopped = "epochs: 100\nname: stopped\n"
    run_folder(tmp_path / "runs" / "stopped", arguments=stopped, results=table((1,)) + line(2)[:40])
    _, err = mlops("import-run", "runs/whole", "runs/failed", "runs/stopped", "--experiment", "past")
    assert "the last line is incomplete" in err
    found = {run.info.run_name: run.info.status for run in runs_of(shell.store, "past")}
    assert found == {"whole": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("good", "bad"), "bad/results.csv:3: 3 columns, but the header has 15"),
        (("nowhere",), "nowhere does not exist"),
        (("good", "--system", "no-such"), "no-such"),
        (("good", "bad", "--started", "2025-01-01"), "--started"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_recorded(
    shell: Shell, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    run_folder(tmp_path / "good")
    run_folder(tmp_path / "bad", results=table((1,)) + "2,492,0.1\n" + line(3) + "\n")
    answer = shell.run("import-run", *arguments)
    assert answer.returncode == 2 and len(answer.stderr.strip().splitlines()) == 1, answer.stderr
    assert says in answer.stderr
    assert not (tmp_path / ".mlops").exists() and not (tmp_path / "mlflow.db").exists()


def test_help_shows_an_example(shell: Shell) -> None:
    assert "mlops import-run runs/detect/train --system" in shell.succeed("import-run", "--help")
