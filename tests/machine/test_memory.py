"""Memory within the limits of control groups."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from mlops.machine.memory import available_bytes
from tests.machine.test_processors import proc_of, write


def test_the_tightest_group_counts_without_its_file_cache(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    write(top, memory__max="max\n", memory__current="900000\n")
    write(
        top / "job",
        memory__max="500000\n",
        memory__current="400000\n",
        memory__stat="anon 1\ninactive_file 50000\n",
    )
    mounts = f"30 23 0:26 / {top} rw - cgroup2 cgroup2 rw\n"
    assert available_bytes(proc_of(tmp_path / "proc", "0::/job\n", mounts)) == 150_000


@pytest.mark.parametrize(("limit", "left"), [("300000", 100_000), ("100000", 0)])
def test_version_1_too(tmp_path: Path, limit: str, left: int) -> None:
    write(tmp_path / "m", memory__limit_in_bytes=limit, memory__usage_in_bytes="200000")
    mounts = f"32 23 0:29 / {tmp_path / 'm'} rw - cgroup cgroup rw,memory\n"
    assert available_bytes(proc_of(tmp_path / "proc", "4:memory:/\n", mounts)) == left


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    free = psutil.virtual_memory().available
    assert abs(available_bytes(tmp_path / "no Linux") - free) < 0.2 * free
