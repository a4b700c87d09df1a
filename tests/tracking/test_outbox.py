"""What was accepted is there: after another process, after SIGKILL, after the source file has changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops.errors import DiskFull, MlopsError, UserError
from mlops.tracking import Tracker
from mlops.tracking.delivery.book import DeliveryBook
from mlops.tracking.outbox.entries import EntryKind
from tests.tracking.writers import METRICS, figures

AWAY = "http://127.0.0.1:9"  # the discard port: nobody listens


def writer(home: Path, key: str, first: int, last: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.tracking.writers",
        str(home),
        AWAY,
        key,
        str(first),
        str(last),
        "keep",
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def steps_in(home: Path, key: str) -> list[int]:
    book = DeliveryBook(home)
    run = book.find_run(AWAY, key)
    assert run is not None
    entries = book.entries_of(run.id, EntryKind.METRICS)
    assert all(entry.payload == figures(entry.step) for entry in entries)
    return [entry.step for entry in entries]


def test_an_epoch_done_twice_counts_once_and_the_first_stays(tmp_path: Path) -> None:
    with Tracker(tmp_path, AWAY, deliver=False) as tracker:
        run = tracker.start_run("study/0", experiment="e", name="n")
        run.log_epoch(1, figures(1))
        run.log_epoch(1, {"val/figure_0": 99.0})
        again = tracker.start_run("study/0", experiment="e", name="n")
        again.log_epoch(1, {"val/figure_0": 99.0})
        again.log_epoch(2, figures(2))
    assert steps_in(tmp_path, "study/0") == [1, 2]


def test_figures_of_the_whole_run_do_not_collide_with_its_epochs(tmp_path: Path) -> None:
    with Tracker(tmp_path, AWAY, deliver=False) as tracker:
        run = tracker.start_run("r", experiment="e", name="n")
        run.log_epoch(0, {"a": 1.0})
        run.log_summary("test", {"b": 1.0})
        run.log_summary("best", {"c": 1.0})
        run.log_summary("test", {"b": 2.0})
    book = DeliveryBook(tmp_path)
    assert [e.payload for e in book.entries_of(1, EntryKind.METRICS)] == [{"a": 1.0}, {"b": 1.0}, {"c": 1.0}]


def test_several_processes_write_one_outbox(tmp_path: Path) -> None:
    writers = [writer(tmp_path, f"run-{n}", 1, 300) for n in range(4)]
    assert [process.wait(120) for process in writers] == [0] * 4
    assert all(steps_in(tmp_path, f"run-{n}") == list(range(1, 301)) for n in range(4))


@pytest.mark.parametrize("moment_s", [0.005, 0.02, 0.05])
def test_a_killed_process_loses_nothing_it_was_told_is_accepted(tmp_path: Path, moment_s: float) -> None:
    process = writer(tmp_path, "run", 1, 1_000_000)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(moment_s)
    os.kill(process.pid, signal.SIGKILL)
    printed = [1, *(int(line) for line in process.stdout.read().split("\n")[:-1])]
    process.wait()
    found = steps_in(tmp_path, "run")
    assert found == list(range(1, len(found) + 1))
    assert len(printed) <= len(found) <= len(printed) + 1


def test_a_forked_worker_may_log_too(tmp_path: Path) -> None:
    with Tracker(tmp_path, AWAY, deliver=False) as tracker:
        run = tracker.start_run("run", experiment="e", name="n")
        run.log_epoch(1, figures(1))
        child = os.fork()
        if child == 0:
            run.log_epoch(2, figures(2))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        run.log_epoch(3, figures(3))
    assert steps_in(tmp_path, "run") == [1, 2, 3]


def test_a_full_disk_is_one_clear_line_and_keeps_what_was_accepted(tmp_path: Path) -> None:
    with Tracker(tmp_path, AWAY, deliver=False) as tracker:
        run = tracker.start_run("run", experiment="e", name="n")
        database = tracker._outbox._connected()
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 5}")
        accepted = 0
        with pytest.raises(DiskFull, match="free some space") as full:
            for step in range(1, 1000):
                run.log_epoch(step, figures(step))
                accepted = step
        assert full.value.exit_code == 2
        database.execute("PRAGMA max_page_count = 1000000")
        run.log_epoch(accepted + 1, figures(accepted + 1))
    assert steps_in(tmp_path, "run") == list(range(1, accepted + 2))


def test_a_file_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    script = f"""
import resource, signal
from pathlib import Path
from mlops.errors import DiskFull
from mlops.tracking import Tracker
big = Path({str(tmp_path)!r}) / "best.pt"
big.write_bytes(bytes(3_000_000))
with Tracker(Path({str(tmp_path)!r}) / "home", {AWAY!r}, deliver=False) as tracker:
    run = tracker.start_run("run", experiment="e", name="n")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    try:
        run.log_artifact(big)
    except DiskFull as full:
        print(full)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "no space left" in done.stdout and "best.pt (3000000 bytes)" in done.stdout
    assert list((tmp_path / "home" / "spool").iterdir()) == []


def test_an_accepted_file_is_as_it_was_whatever_becomes_of_its_source(tmp_path: Path) -> None:
    results = tmp_path / "results.csv"
    results.write_text("epoch 1\n")
    with Tracker(tmp_path / "home", AWAY, deliver=False) as tracker:
        run = tracker.start_run("run", experiment="e", name="n")
        run.log_artifact(results, "curves")
        with results.open("r+") as same_file:
            same_file.write("EPOCH 2\n")
        run.log_artifact(results, "curves")
        run.log_artifact(results, "curves")
        results.unlink()
    book = DeliveryBook(tmp_path / "home")
    kept = [book.spool.path(e.payload["spool"]).read_text() for e in book.entries_of(1, EntryKind.ARTIFACT)]
    assert kept == ["epoch 1\n", "EPOCH 2\n"]
    assert len(list(book.spool.folder.iterdir())) == 2


def test_a_second_value_of_a_param_is_told_in_one_line_and_the_first_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Tracker(tmp_path, AWAY, deliver=False) as tracker:
        run = tracker.start_run("run", experiment="e", name="n")
        run.log_params({"lr0": 0.01, "optimizer": "SGD"})
        run.log_params({"lr0": 0.02, "optimizer": "SGD", "new": True})
    assert caplog.messages == ["run run: param lr0 is '0.01'; the new value '0.02' is ignored"]
    params = [e.payload for e in DeliveryBook(tmp_path).entries_of(1, EntryKind.PARAMS)]
    assert params == [{"lr0": "0.01", "optimizer": "SGD"}, {"new": "true"}]


def test_a_parent_that_was_never_started_is_named(tmp_path: Path) -> None:
    with Tracker(tmp_path, AWAY, deliver=False) as tracker, pytest.raises(UserError, match="'nobody'"):
        tracker.start_run("run", experiment="e", name="n", parent="nobody")


def test_a_file_that_is_no_outbox_is_named(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_text("this is not a database, it is a text of some length" * 50)
    with pytest.raises(MlopsError, match="cannot be used as an outbox"):
        Tracker(tmp_path, AWAY)


def test_an_outage_does_not_slow_the_one_who_logs(tmp_path: Path) -> None:
    with Tracker(tmp_path, AWAY) as tracker:
        run = tracker.start_run("run", experiment="e", name="n")
        time.sleep(1.5)  # the delivery thread has met the outage
        began = time.perf_counter()
        for step in range(1, 101):
            run.log_epoch(step, figures(step))
        assert time.perf_counter() - began < 1.0
    assert len(steps_in(tmp_path, "run")) == 100
    assert METRICS == 20
