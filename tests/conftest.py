"""What every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts: several tests run side by side
os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # as trainings do, whichever test imports it first
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

from tests.command import SHARED_DATA, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty working directory to run `mlops` in."""
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def tiny_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The blood-cell demo set in its tiny size."""
    from mlops.data import demo_dataset

    return demo_dataset("blood-cell-classifier", tmp_path_factory.mktemp("demo") / "cells", size="tiny")


@pytest.fixture
def shared_data() -> Path:
    """The real data; skipped where they are not at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared real data are not beside this checkout")
    return SHARED_DATA
