"""`mlflow run . -e promote` and `-e rollback`: the same commands, and a refusal fails the project's run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.store.client import connect
from registry.ledger.log import read
from tests.command import REPOSITORY, Shell
from tests.registry.shelves import make_model

pytestmark = pytest.mark.slow

POLICY = """
model: cells
transitions: {None: [Production], Production: [Archived], Archived: [Production]}
gates:
  Production:
    - {kind: floor, metric: test/macro_f1, minimum: 0.8}
"""


def project(shell: Shell, entry_point: str, **given: str) -> subprocess.CompletedProcess[str]:
    """`mlflow run REPOSITORY -e ENTRY_POINT --env-manager local -P KEY=VALUE ...`"""
    parameters = [part for key, value in given.items() for part in ("-P", f"{key}={value}")]
    command = [sys.executable, "-m", "mlflow", "run", str(REPOSITORY), "-e", entry_point]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*command, "--env-manager", "local", *parameters],
        cwd=shell.folder,
        env={**shell.environment, "MLFLOW_TRACKING_URI": shell.store, "PATH": path, "MLOPS_USER": "rita"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_promote_refuse_and_roll_back_as_project_runs(shell: Shell) -> None:
    client = connect(shell.store)
    make_model(client, "cells", 3, shell.folder / "files")
    for version, value in (("1", 0.91), ("2", 0.5), ("3", 0.95)):
        client.log_metric(client.get_model_version("cells", version).run_id, "test/macro_f1", value)
    (shell.folder / "policy.yaml").write_text(POLICY)
    of = {"model": "cells", "policy": str(shell.folder / "policy.yaml")}

    for version in ("1", "3"):
        good = project(shell, "promote", **of, version=version, to="production", why="better than it was")
        assert good.returncode == 0, good.stderr
    bad = project(shell, "promote", **of, version="2", to="production")
    assert bad.returncode != 0
    assert "cells/2 may not enter Production: 1 of 1 gates refuse" in bad.stdout + bad.stderr
    back = project(shell, "rollback", **of, why="misses blasts")
    assert back.returncode == 0, back.stderr

    entries = read("cells", client)
    assert [(e.action, e.version) for e in entries[:3]] == [("register", number) for number in "123"]
    assert [(e.action, e.version, e.who, e.why) for e in entries[3:]] == [
        ("promote", "1", "rita", "better than it was"),
        ("promote", "3", "rita", "better than it was"),
        ("rollback", "1", "rita", "misses blasts"),
    ]
    ended = [run.info.status for run in client.search_runs(["0"], order_by=["attributes.start_time"])]
    assert ended == ["FINISHED", "FINISHED", "FAILED", "FINISHED"]
