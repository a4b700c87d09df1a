"""`mlops sync`, `server` and `doctor` as a user meets them; a mistake is one line and exit code 2."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from mlops.tracking import Tracker
from tests.command import Shell
from tests.tracking.stores import curve


def mistake(shell: Shell, *arguments: str) -> str:
    answer = shell.run(*arguments, timeout_s=120)
    assert answer.returncode == 2 and "Traceback" not in answer.stderr, answer.stderr
    return answer.stderr.splitlines()[-1]


def test_sync_delivers_to_the_store_each_run_was_logged_for(shell: Shell, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with Tracker(tmp_path / ".mlops", store, deliver=False) as tracker:
        run = tracker.start_run("r", experiment="e", name="n")
        run.log_epoch(1, {"a": 0.5})
        run.finish()
    (result,) = json.loads(shell.succeed("sync", "--json"))
    assert (result["store"], result["delivered"], result["left"]) == (store, 2, 0)
    assert curve(store, str(run.mlflow_id()), "a") == [(1, 0.5)]


def test_sync_leaves_with_1_and_says_why_when_something_remains(shell: Shell, tmp_path: Path) -> None:
    with Tracker(tmp_path / ".mlops", "http://ann:secret@127.0.0.1:9", deliver=False) as tracker:
        tracker.start_run("r", experiment="e", name="n").log_epoch(1, {"a": 0.5})
    answer = shell.run("sync")
    assert answer.returncode == 1
    said = answer.stderr.strip()
    assert said.startswith("mlops: 2 entries not delivered") and "\n" not in said
    assert "secret" not in answer.stdout + answer.stderr


def test_sync_without_an_outbox_has_nothing_to_do(shell: Shell) -> None:
    assert "Nothing to deliver" in shell.succeed("sync")


@pytest.mark.parametrize("command", ["sync", "server", "doctor"])
def test_help_shows_an_example(shell: Shell, command: str) -> None:
    assert f"Example: mlops {command}" in shell.succeed(command, "--help")


def test_mistakes_name_the_option(shell: Shell, tmp_path: Path) -> None:
    assert "--timeout" in mistake(shell, "sync", "--timeout", "-3")
    assert "--port" in mistake(shell, "server", "--port", "99999")
    assert "--store" in mistake(shell, "server", "--store", "ftp://x")
    assert "--host" in mistake(shell, "server", "--host", "203.0.113.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "free port" in mistake(shell, "server", "--port", str(taken.getsockname()[1]))
    (tmp_path / ".mlops").mkdir()
    (tmp_path / ".mlops" / "outbox.db").write_text("no database at all, only a line of text" * 40)
    assert "outbox.db" in mistake(shell, "sync")


def test_doctor_says_what_waits_and_what_to_do(shell: Shell, tmp_path: Path) -> None:
    with Tracker(tmp_path / ".mlops", "http://127.0.0.1:9", deliver=False) as tracker:
        tracker.start_run("r", experiment="e", name="n").log_epoch(1, {"a": 0.5})
    findings = {row["what"]: row for row in json.loads(shell.succeed("doctor", "--json"))}
    assert findings["outbox"]["health"] == "warn" and "2 waiting" in findings["outbox"]["says"]
    assert "mlops sync" in findings["outbox"]["advice"]
    assert findings["store"]["health"] == "ok"


def test_doctor_fails_where_the_home_is_no_folder(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / ".mlops").write_text("")
    answer = shell.run("doctor")
    assert answer.returncode == 1 and "MLOPS_HOME" in answer.stdout and "Traceback" not in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_server_prints_its_address_and_ends_cleanly(how: signal.Signals, shell: Shell) -> None:
    process = shell.start("server", "--port", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5).close()
        below = psutil.Process(process.pid).children(recursive=True)
        commands = [" ".join(each.cmdline()) for each in below]
        assert not any("huey" in each or "_job_runner" in each for each in commands), "eight more MLflows"
    finally:
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err.strip().endswith("Stopped.")
