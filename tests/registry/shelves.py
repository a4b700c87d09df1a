"""Registered models to move about, with real files and the least that a version needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry.policies.policy import Policy

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_policy(model: str, keys: tuple[str, ...] = ()) -> Policy:
    """A policy that asks for nothing."""
    return Policy(model=model, gates={}, signing_keys=keys)


def make_model(client: MlflowClient, model: str, versions: int, folder: Path) -> None:
    """Register `model` with `versions` versions, each with a model folder of its own on the server."""
    client.create_registered_model(model)
    experiment = client.create_experiment(model)
    for number in range(1, versions + 1):
        run = client.create_run(experiment, tags={"mlflow.user": "tara"})
        files = folder / f"{model}-{number}"
        (files / "data").mkdir(parents=True)
        (files / "MLmodel").write_text(f"model {model} {number}\n")
        (files / "data" / "model.onnx").write_bytes(bytes([number]) * 1000)
        client.log_artifacts(run.info.run_id, str(files), "model")
        client.create_model_version(model, f"{run.info.artifact_uri}/model", run_id=run.info.run_id)


def make_bare_model(client: MlflowClient, model: str, versions: int) -> None:
    """Register `model` with versions that have no files."""
    client.create_registered_model(model)
    for number in range(1, versions + 1):
        client.create_model_version(model, f"nowhere:/{model}/{number}", await_creation_for=0)
