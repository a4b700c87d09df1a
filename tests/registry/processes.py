"""Moves in processes of their own, and what MLflow shows after them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlops.store.client import connect
from registry.ledger.entry import Stage
from registry.stages.mlflow_state import ALIASES, look


def mover(
    url: str, model: str, version: str, stage: Stage, line: Path | None = None
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.registry.mover", url, model, version, stage]
    return subprocess.Popen(
        [*command, *([str(line)] if line else [])],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )


def shown(url: str, model: str) -> dict[str, str]:
    """version -> stage in MLflow, having seen that stage, alias and tag say the same."""
    shelf = look(connect(url), model)
    for version in shelf.versions.values():
        assert version.tag in (version.stage, "" if version.stage == "None" else version.stage)
    for stage, alias in ALIASES.items():
        held = [v.version for v in shelf.versions.values() if v.stage == stage]
        assert held == ([shelf.aliases[alias]] if alias in shelf.aliases else [])
    return {v.version: v.stage for v in shelf.versions.values()}
