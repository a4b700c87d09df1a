"""`mlflow run . -e train --env-manager uv`: MLflow makes the environment of conda.yaml, and trains in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import REPOSITORY, TINY, Shell


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_a_project_trains_in_an_environment_that_uv_makes(shell: Shell) -> None:
    settings = ";".join(TINY)
    command = [sys.executable, "-m", "mlflow", "run", str(REPOSITORY), "-e", "train", "--env-manager", "uv"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    answer = subprocess.run(
        [*command, "-P", "trials=1", "-P", "epochs=1", "-P", f"set={settings}"],
        cwd=shell.folder,
        env={
            **{name: value for name, value in shell.environment.items() if name != "PYTHONPATH"},
            "MLFLOW_TRACKING_URI": shell.store,
            "MLFLOW_ENV_ROOT": str(shell.folder / "environments"),
            "PATH": path,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    [environment] = (shell.folder / "environments").rglob("site-packages/torch/__init__.py")
    assert environment.is_file()
    assert "blood-cell-classifier" in shell.succeed("registry", "status")
