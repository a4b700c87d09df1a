"""The folder for caches, checkpoints and the outbox."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """`.mlops` in the working directory, or MLOPS_HOME."""
    return Path(os.environ.get("MLOPS_HOME") or ".mlops").resolve()
