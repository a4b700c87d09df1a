"""MLflow without its rooms for language models: whole for what a client needs."""

from __future__ import annotations

import subprocess
import sys

LEAN = """
import sys
from mlops.store.lean_mlflow import import_lean
import_lean()
import mlflow, mlflow.entities, mlflow.artifacts
from mlflow import MlflowClient
print(sorted(set(dir(mlflow.entities))))
print(sorted({"fastapi", "polars", "sklearn"} & set(sys.modules)))
"""
WHOLE = "import mlflow.entities; print(sorted(set(dir(mlflow.entities))))"


def _says(code: str, uri: str) -> list[str]:
    env = {"MLFLOW_TRACKING_URI": uri}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_client_of_a_server_has_all_entities_and_none_of_the_weight() -> None:
    entities, heavy = _says(LEAN, "http://127.0.0.1:9")
    assert heavy == "[]"
    assert [entities] == _says(WHOLE, "http://127.0.0.1:9")
