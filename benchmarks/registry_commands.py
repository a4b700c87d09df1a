"""The release engineer's commands against a local MLflow server, beside MLflow's own client alone.

    status     200 models of 20 versions each. Peer: one `MlflowClient.search_registered_models`, printed.
    promote    every gate of the blood-cell policy on a version with all measured, a champion beside it,
               a model file of 13.7 MB. Peer: the move alone, no gate, no record: stage, alias, tag.
    rollback   the same gates, of the champion before. Peer: the same bare move.

Each is a whole process from start to end, in turn with its peer, on one server over SQLite.
To reach: status and promote < 2 s, rollback < 5 s.

    python benchmarks/registry_commands.py
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODELS = int(os.environ.get("MODELS", "200"))
VERSIONS = int(os.environ.get("VERSIONS", "20"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
MODEL, PEERS_MODEL = "blood-cell-classifier", "bare-move"
FILE_BYTES, PICTURES, EPOCHS = 13_700_000, 3421, 20
CELLS = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
LIMITS_S = {"status": 2.0, "promote to staging": 2.0, "promote to production": 2.0, "rollback": 5.0}

PEER_STATUS = """
    from mlflow import MlflowClient
    client = MlflowClient()
    for model in client.search_registered_models(max_results=1000):
        print(model.name, [(v.version, v.current_stage) for v in model.latest_versions], model.aliases)
"""
PEER_MOVE = """
    import sys, warnings
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient
    client, (name, version, stage) = MlflowClient(), sys.argv[1:]
    client.transition_model_version_stage(name, version, stage, archive_existing_versions=True)
    client.set_registered_model_alias(name, stage.lower(), version)
    client.set_model_version_tag(name, version, "stage", stage)
"""


def fill(client: MlflowClient) -> None:
    """The models that `status` lists, each with a version in Production and one in Staging."""
    for number in range(MODELS):
        name = f"model-{number:03d}"
        client.create_registered_model(name)
        for version in range(1, VERSIONS + 1):
            client.create_model_version(
                name, f"nowhere:/{name}/{version}", tags={"test/macro_f1": "0.9"}, await_creation_for=0
            )
        for version, stage in ((VERSIONS - 1, "Production"), (VERSIONS, "Staging")):
            client.transition_model_version_stage(name, str(version), stage)
            client.set_model_version_tag(name, str(version), "mlops.stage", stage)
            client.set_registered_model_alias(name, stage.lower(), str(version))


def train(client: MlflowClient, folder: Path, versions: int) -> None:
    """Versions as `mlops train` and the measuring commands leave them, each a little better."""
    import numpy as np
    from mlflow.entities import Metric

    experiment = client.create_experiment(MODEL)
    client.create_registered_model(MODEL)
    client.create_registered_model(PEERS_MODEL)
    study = client.create_run(experiment).info.run_id
    client.log_text(study, "[]", "data/data_faults.json")
    for number in range(1, versions + 1):
        run = client.create_run(
            experiment, tags={"mlflow.parentRunId": study, "mlflow.user": "ann"}
        ).info.run_id
        names = ["train/accuracy", "val/accuracy", "val/macro_f1", *(f"val/F1/{cell}" for cell in CELLS)]
        curves = [Metric(name, 0.95, step, step) for name in names for step in range(1, EPOCHS + 1)]
        client.log_batch(run, metrics=curves)
        heads = {"best/epoch": EPOCHS, "best/val/macro_f1": 0.95, "best/val/accuracy": 0.95}
        tests = {"test/macro_f1": 0.95, **{f"test/F1/{cell}": 0.95 for cell in CELLS}}
        client.log_batch(run, metrics=[Metric(name, value, 0, 0) for name, value in (heads | tests).items()])
        files = folder / f"version-{number}"
        files.mkdir()
        weights = np.random.default_rng(number).bytes(FILE_BYTES)
        (files / "model.onnx").write_bytes(weights)
        (files / "MLmodel").write_text("flavors: {}\n")
        client.log_artifacts(run, str(files), "model")
        predictions(0.9 + number / 100, files / "predictions.parquet")
        client.log_artifact(run, str(files / "predictions.parquet"), "test")
        digest = hashlib.sha256(weights).hexdigest()
        source = f"{client.get_run(run).info.artifact_uri}/model"
        client.create_model_version(MODEL, source, run_id=run, tags=tags(digest))
        client.create_model_version(PEERS_MODEL, source, run_id=run)


def predictions(right: float, file: Path) -> None:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    names = np.array(CELLS)
    truth = rng.integers(0, len(names), PICTURES)
    given = np.where(rng.random(PICTURES) < right, truth, rng.integers(0, len(names), PICTURES))
    probable = {f"p/{name}": rng.random(PICTURES, np.float32) for name in CELLS}
    images = [str(index) for index in range(PICTURES)]
    pd.DataFrame({"image": images, "label": names[truth], "predicted": names[given], **probable}).to_parquet(
        file
    )


def tags(digest: str) -> dict[str, str]:
    latency = {"device": "CPU", "threads": 0, "calls": 100, "p50_ms": 7.0, "p95_ms": 9.0}
    parity = {"format": "onnx", "pictures": 100, "difference": 1e-5, "agreement": 1.0}
    return {
        "mlops.licence": "MIT",
        "mlops.dataset_digest": "d" * 64,
        "mlops.demo": "false",
        "mlops.class_map": json.dumps(dict(enumerate(CELLS))),
        "mlops.onnx_digest": digest,
        "mlops.latency": json.dumps({**latency, "size_bytes": FILE_BYTES, "onnx_digest": digest}),
        "mlops.parity": json.dumps([{**parity, "digest": digest, "original": digest}]),
    }


def seconds(*command: str, env: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return taken


def measure(url: str) -> dict[str, list[tuple[float, float]]]:
    """(ours, peer) in seconds, by what was measured."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": url, "MLOPS_USER": "rita", "MLFLOW_DISABLE_TELEMETRY": "true"}
    mlops = [str(Path(sys.executable).parent / "mlops"), "registry"]
    status, move = ([sys.executable, "-c", textwrap.dedent(code)] for code in (PEER_STATUS, PEER_MOVE))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LIMITS_S}

    def pair(name: str, ours: list[str], peer: list[str]) -> None:
        found[name].append((seconds(*mlops, *ours, env=env), seconds(*peer, env=env)))

    for number in map(str, range(1, ROUNDS + 2)):
        pair("status", ["status"], status)
        to_staging = ["promote", MODEL, number, "--to", "staging"]
        pair("promote to staging", to_staging, [*move, PEERS_MODEL, number, "Staging"])
        seconds(*mlops, "approve", MODEL, number, env={**env, "MLOPS_USER": "bea"})
        to_production = ["promote", MODEL, number, "--to", "production"]
        pair("promote to production", to_production, [*move, PEERS_MODEL, number, "Production"])
    for number in map(str, range(ROUNDS, 0, -1)):
        pair("rollback", ["rollback", MODEL], [*move, PEERS_MODEL, number, "Production"])
    return found


def main() -> None:
    from mlops.store.client import connect
    from mlops.store.location import absolute_uri
    from mlops.store.server import plan_server, start_server

    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        store = absolute_uri(f"sqlite:///{folder / 'mlflow.db'}")
        fill(connect(store))
        server = start_server(plan_server(store, "127.0.0.1", 0, folder))
        try:
            train(connect(server.plan.url), folder, ROUNDS + 1)
            report(measure(server.plan.url))
        finally:
            server.stop()


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    print(f"{MODELS} models x {VERSIONS} versions; medians of {ROUNDS} to {ROUNDS + 1}, in seconds")
    for name, pairs in found.items():
        own, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
        reached = "yes" if own < LIMITS_S[name] else "NO"
        says = f"ours {own:5.2f}  peer {peer:5.2f}  ratio {own / peer:.2f}"
        print(f"{name:22} {says}  to reach < {LIMITS_S[name]:g}: {reached}")


if __name__ == "__main__":
    main()
