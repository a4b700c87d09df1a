"""A command keeps to the processors that its container or its affinity gives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.command import Shell, tiny

OMP = ("OMP_NUM_THREADS", "MLOPS_OMP_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
Limit = Callable[[], Any]


def one_processor() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.fixture(params=["affinity", "quota"])
def limit(request: pytest.FixtureRequest) -> Iterator[Limit]:
    """Called in a new process: leaves it one processor."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("the machine has one processor anyhow")
    if request.param == "affinity":
        yield one_processor
        return
    with quota_of_one() as group:
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def quota_of_one() -> Iterator[Path]:
    """A control group of a quota of one processor."""
    for top, file, text in (
        (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", "100000"),
        (Path("/sys/fs/cgroup"), "cpu.max", "100000 100000"),
    ):
        group = top / f"mlops-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / file).exists():
                (group / file).write_text(text)
                yield group
                return
        finally:
            end_all(group)
            group.rmdir()
    pytest.skip("no control group can be created here")


def end_all(group: Path) -> None:
    for _ in range(50):
        if not (pids := (group / "cgroup.procs").read_text().split()):
            return
        for pid in pids:
            os.kill(int(pid), 9)
        time.sleep(0.1)


def running_threads(shell: Shell, limit: Limit, *command: str, **variables: str) -> list[int]:
    """Threads of a command and its children that run or could run, several times a second."""
    kept = {name: value for name, value in shell.environment.items() if name not in OMP}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mlops", *command],
        cwd=shell.folder,
        env={**kept, **variables},
        preexec_fn=limit,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    counts: list[int] = []
    while process.poll() is None:
        if command[0] == "train" and not list(shell.folder.glob(".mlops/studies/*/trial-000/**/last.*")):
            counts.clear()  # so far it was imported and prepared
        counts.append(sum(_running(pid) for pid in _family(process.pid)))
        time.sleep(0.05)
    assert process.stdout is not None
    assert process.returncode == 0, process.stdout.read()
    return counts


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _running(pid: int) -> int:
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            count += status.read_text().rpartition(")")[2].split()[0] == "R"
        except OSError:  # ended meanwhile
            continue
    return count


@pytest.mark.timeout(300)
def test_a_training_keeps_to_one_processor(shell: Shell, tiny_cells: Path, limit: Limit) -> None:
    keeps_to(1, running_threads(shell, limit, *training(tiny_cells)))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_each_command_keeps_to_one_processor(shell: Shell, tiny_cells: Path, limit: Limit) -> None:
    two = ("--trials", "2", "--parallel", "2", "--study", "both")
    keeps_to(3, running_threads(shell, limit, *training(tiny_cells), *two))  # one each, and who delivers
    keeps_to(1, running_threads(shell, limit, "evaluate", "blood-cell-classifier/1"))
    keeps_to(1, running_threads(shell, limit, "data", "check", str(tiny_cells)))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_users_number_wins(shell: Shell, tiny_cells: Path) -> None:
    counts = running_threads(shell, one_processor, *training(tiny_cells), OMP_NUM_THREADS="4")
    assert np.percentile(counts, 90) > 1


def training(data: Path) -> tuple[str, ...]:
    """Of a network whose layers are large enough to be divided among threads."""
    large = tiny("model=resnet18", "image_size=96", "epochs=4")
    return ("train", "blood-cell-classifier", "--data", str(data), *large)


def keeps_to(allowed: int, counts: list[int]) -> None:
    """Delivery and Python's other threads may run for a moment besides."""
    assert np.percentile(counts, 90) <= allowed
    assert np.mean(counts) <= allowed + 0.3


def test_doctor_says_what_is_given(shell: Shell, limit: Limit) -> None:
    kept = {name: value for name, value in shell.environment.items() if name not in OMP}
    said = subprocess.run(
        [sys.executable, "-P", "-m", "mlops", "doctor"],
        cwd=shell.folder,
        env=kept,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"1 of {os.cpu_count()} processors (" in said.stdout + said.stderr
