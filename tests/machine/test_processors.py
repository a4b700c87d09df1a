"""Processors: limits of machine, affinity and control groups, and the share that other work leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.machine.processors import (
    Load,
    LoadMeter,
    Processors,
    environment_of_part,
    fair_threads,
    most_threads,
    prepare_environment,
    quota,
    users_threads,
)
from mlops.prediction.onnx_sessions import own_threads

OMP = ("OMP_NUM_THREADS", "MLOPS_OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def proc_of(folder: Path, groups: str, mounts: str) -> Path:
    """A copy of what `/proc/self` says of control groups."""
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(groups)
    (folder / "mountinfo").write_text(mounts)
    return folder


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_smallest_quota_above_a_group_of_version_2_counts(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    write(top / "user.slice", cpu__max="150000 100000\n")
    write(top / "user.slice" / "job", cpu__max="max 100000\n")
    write(top / "other", cpu__max="10000 100000\n")
    mounts = f"30 23 0:26 / {top} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    assert quota(proc_of(tmp_path / "proc", "0::/user.slice/job\n", mounts)) == 1.5


def test_a_container_sees_its_quota_at_the_top_of_its_mount(tmp_path: Path) -> None:
    top = tmp_path / "cgroup with spaces"
    write(top, cpu__max="400000 100000\n")
    mounts = f"30 23 0:26 / {str(top).replace(' ', chr(92) + '040')} ro - cgroup2 cgroup rw\n"
    assert quota(proc_of(tmp_path / "proc", "0::/\n", mounts)) == 4
    outside = f"30 23 0:26 /docker/1f {str(top).replace(' ', chr(92) + '040')} ro - cgroup2 cgroup rw\n"
    assert quota(proc_of(tmp_path / "proc 2", "0::/docker/1f\n", outside)) == 4
    assert quota(proc_of(tmp_path / "proc 3", "0::/../elsewhere\n", mounts)) == 4


def test_version_1_states_quota_and_period(tmp_path: Path) -> None:
    top = tmp_path / "cpu"
    write(top, cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    write(top / "docker" / "1f", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    mounts = (
        f"31 23 0:28 / {tmp_path / 'memory'} rw - cgroup cgroup rw,memory\n"
        f"32 23 0:29 /docker/1f {top / 'docker' / '1f'} rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    groups = "4:memory:/docker/1f\n2:cpu,cpuacct:/docker/1f\n1:name=systemd:/\n"
    assert quota(proc_of(tmp_path / "proc", groups, mounts)) == 0.5


@pytest.mark.parametrize("text", ["", "max 100000\n", "many of them\n", "0 0\n"])
def test_no_quota_and_a_file_that_says_nothing_are_no_limit(tmp_path: Path, text: str) -> None:
    write(tmp_path / "cgroup", cpu__max=text)
    mounts = f"30 23 0:26 / {tmp_path / 'cgroup'} rw - cgroup2 cgroup2 rw\n"
    assert quota(proc_of(tmp_path / "proc", "0::/\n", mounts)) is None
    assert quota(tmp_path / "no Linux") is None


@pytest.mark.parametrize(
    ("given", "threads", "says"),
    [
        (Processors(8, 8, None), 8, "8 processors"),
        (Processors(1, 1, None), 1, "1 processor"),
        (Processors(8, 3, None), 3, "3 of 8 processors (affinity: 3)"),
        (Processors(8, 8, 2.5), 2, "2 of 8 processors (quota of the control group: 2.5)"),
        (Processors(8, 4, 0.25), 1, "1 of 8 processors (affinity: 4, quota of the control group: 0.25)"),
        (Processors(2, 2, 64.0), 2, "2 processors"),
    ],
)
def test_whole_processors_are_counted_and_the_reason_is_said(
    given: Processors, threads: int, says: str
) -> None:
    assert (given.threads, str(given)) == (threads, says)


# the user's variables


@pytest.fixture
def no_omp(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in OMP:
        monkeypatch.setenv(name, "")  # so that the old value comes back
        monkeypatch.delenv(name)
    prepare_environment.cache_clear()
    yield monkeypatch
    prepare_environment.cache_clear()


def test_our_number_bounds_children_and_is_not_taken_for_the_users(no_omp: pytest.MonkeyPatch) -> None:
    prepare_environment()
    assert users_threads() is None
    assert os.environ["OMP_NUM_THREADS"] == str(most_threads())
    assert environment_of_part(1000)["OMP_NUM_THREADS"] == "1"
    no_omp.setenv("OMP_NUM_THREADS", "1")
    no_omp.setenv("MLOPS_OMP_NUM_THREADS", "1")  # a worker of `--parallel`
    assert users_threads() is None
    assert most_threads() == 1


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("5,2", 5), (" 7 ", 7)])
def test_the_users_number_wins(no_omp: pytest.MonkeyPatch, given: str, threads: int) -> None:
    no_omp.setenv("OMP_NUM_THREADS", given)
    no_omp.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare_environment()
    assert users_threads() == most_threads() == threads
    assert os.environ["OMP_NUM_THREADS"] == given
    assert "GOMP_SPINCOUNT" not in os.environ
    assert environment_of_part(2) == {}


@pytest.mark.parametrize("given", ["", "many", "0", "-1"])
def test_a_number_that_is_none_is_replaced(no_omp: pytest.MonkeyPatch, given: str) -> None:
    no_omp.setenv("OMP_NUM_THREADS", given)
    prepare_environment()
    assert users_threads() is None
    assert int(os.environ["OMP_NUM_THREADS"]) >= 1


# the load


@pytest.mark.parametrize(
    ("most", "load", "threads"),
    [
        (2, Load(others=0.0, processes=0), 2),
        (2, Load(others=0.4, processes=1), 2),
        (2, Load(others=1.0, processes=1), 1),
        (2, Load(others=1.4, processes=4), 1),
        (16, Load(others=8.0, processes=8), 8),
        (16, Load(others=16.0, processes=1), 8),  # another training that took the whole machine
        (16, Load(others=16.0, processes=32), 1),
        (16, Load(others=0.0, processes=0, children=4.0), 12),
        (2, Load(others=0.0, processes=0, children=2.0), 1),
    ],
)
def test_free_processors_are_taken_and_busy_ones_shared(most: int, load: Load, threads: int) -> None:
    assert fair_threads(most, load) == threads


def test_the_meter_sees_another_command_and_tells_our_children_apart() -> None:
    meter = LoadMeter()
    endless = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(endless) as child:
        try:
            ours = meter.read()
        finally:
            child.kill()
    assert ours.children > 0.1
    # a shell that ends at once leaves its child to init: to us, it is somebody else's
    started = subprocess.run(
        ["sh", "-c", '"$0" -c "while True: pass" > /dev/null 2>&1 & echo $!', sys.executable],
        check=True,
        capture_output=True,
        text=True,
    )
    try:
        theirs = LoadMeter().read()
    finally:
        os.kill(int(started.stdout), 9)
    assert theirs.processes >= 1
    assert theirs.others > 0.1


def test_onnx_runtime_gets_the_number_only_where_something_limits_it(no_omp: pytest.MonkeyPatch) -> None:
    def given(limits: Processors) -> int:
        no_omp.setattr("mlops.machine.processors.processors", lambda: limits)
        no_omp.setattr("mlops.prediction.onnx_sessions.processors", lambda: limits)
        return own_threads()

    assert given(Processors(8, 8, None)) == 0
    assert given(Processors(8, 2, None)) == 2
    assert given(Processors(8, 8, 3.5)) == 3
    no_omp.setenv("OMP_NUM_THREADS", "1")
    assert given(Processors(8, 8, None)) == 1
