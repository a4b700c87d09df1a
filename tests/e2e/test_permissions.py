"""Folders that cannot be read or written: one line that names them, exit status 2, and nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.data import demo_dataset
from tests.command import REPOSITORY

COMMANDS = [
    ("train",),
    ("data", "demo", "blood-cell-classifier"),
    ("registry", "status"),
    ("report", "blood-cell-classifier"),
    ("server", "--port", "0"),
]
# root may write anywhere; without these capabilities it may not
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()

pytestmark = pytest.mark.skipif(
    bool(AS_ANYBODY) and shutil.which("setpriv") is None, reason="root cannot give up its rights: no setpriv"
)


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLOPS_"))}
    return subprocess.run(
        [*AS_ANYBODY, sys.executable, "-P", "-m", "mlops", *command],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_working_directory_that_cannot_be_written_is_named(closed: Path, command: tuple[str, ...]) -> None:
    answer = run(*command, cwd=closed)
    assert answer.returncode == 2
    assert str(closed) in answer.stderr.splitlines()[-1] and "Traceback" not in answer.stderr
    assert not answer.stdout and list(closed.iterdir()) == []


@pytest.mark.parametrize("command", [("train",), ("sync",), ("data", "check", "cells")], ids=lambda c: c[0])
def test_a_home_folder_that_cannot_be_read_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o000)
    demo_dataset("blood-cell-classifier", tmp_path / "cells", size="tiny")
    answer = run(*command, cwd=tmp_path, MLOPS_HOME=str(home / "mlops"))
    home.chmod(0o700)
    assert answer.returncode == 2
    assert str(home) in answer.stderr and len(answer.stderr.splitlines()) == 1
    assert list(home.iterdir()) == []
