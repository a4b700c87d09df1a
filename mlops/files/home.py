"""The folder for caches, checkpoints and the outbox."""

from __future__ import annotations

import os
from pathlib import Path

from mlops.files.private import private_home


def home_folder() -> Path:
    """`.mlops` in the working directory, or MLOPS_HOME."""
    return Path(os.environ.get("MLOPS_HOME") or ".mlops").resolve()


def open_home() -> Path:
    """The same, made where it is missing, and closed to other users; for commands that write there."""
    return private_home(home_folder())
