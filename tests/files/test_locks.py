"""A lock has one holder, and is free as soon as that holder has released it or is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlops.files.locks import ProcessLock, locked, locked_folder

_HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from mlops.files.locks import ProcessLock
assert ProcessLock(Path(sys.argv[1])).take()  # dropped at once
lock = ProcessLock(Path(sys.argv[1]))
assert lock.take()
if os.fork() == 0:
    print(f"{os.getpid()} {lock.held}", flush=True)
time.sleep(60)
"""


def test_a_killed_holder_releases_although_its_forked_child_lives(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    command = [sys.executable, "-c", _HOLD_AND_FORK, str(file)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child, held_in_child = holder.stdout.readline().split()
    try:
        assert held_in_child == "False"
        lock = ProcessLock(file)
        assert not lock.take(), "two processes hold the lock"
        holder.kill()
        holder.wait()
        os.kill(int(child), 0)  # it lives
        assert lock.take()
        lock.release()
    finally:
        holder.kill()
        os.kill(int(child), signal.SIGKILL)


def test_a_forked_child_leaves_its_parents_lock_and_may_take_it_afterwards(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock")
    assert lock.take()
    child = os.fork()
    if child == 0:
        refused = not lock.take()
        lock.release()
        os._exit(0 if refused else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert lock.held and not ProcessLock(tmp_path / "lock").take()
    lock.release()
    child = os.fork()
    if child == 0:
        os._exit(0 if lock.take() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_two_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with locked_folder(tmp_path / "new" / "folder"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == (1, 0)


def test_a_lock_taken_in_one_thread_can_be_released_in_another(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock")
    assert lock.take() and lock.take()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not lock.held
    assert ProcessLock(tmp_path / "lock").take()


def test_a_lock_on_a_relative_path_stays_one_lock_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    before, lock = ProcessLock(Path("lock")), ProcessLock(Path("lock"))
    assert lock.take()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert not before.take()
    lock.release()
    assert before.take()


def test_waiting_ends_when_the_time_is_over(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        began = time.monotonic()
        assert not ProcessLock(tmp_path / "lock").take(wait_s=0.2)
        assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match=str(tmp_path / "lock")):
            ProcessLock(tmp_path / "lock").take()
    finally:
        tmp_path.chmod(0o755)


def test_a_path_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=str(tmp_path / "file")):
        ProcessLock(tmp_path / "file" / "lock").take()
