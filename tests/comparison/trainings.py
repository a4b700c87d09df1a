"""Trainings in a real store, with the per-sample tables and figures that a comparison reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.samples.sample_tables import ClassTable, Header, write_answers, write_boxes
from tests.metrics.box_tables import CLASSES

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATA, OTHER_DATA = "d" * 64, "e" * 64


@dataclass(frozen=True)
class Trained:
    """What one training leaves. table: None keeps none. tested_on: the digest in the table's header."""

    table: Boxes | ClassTable | None
    seed: int = 0
    recipe: str = "r1"
    trained_on: int = 100
    digest: str = DATA
    tested_on: str = ""
    classes: Sequence[str] = CLASSES
    metrics: Mapping[str, float] = field(default_factory=lambda: {"model/parameters": 1e6})
    epoch_s: Sequence[float] = (10.0, 10.0)
    folder: str = "test"


def answers(right: float, seed: int, count: int = 400, first: int = 0) -> ClassTable:
    """A classifier's table of `count` pictures, about `right` of them answered so."""
    truth = np.random.default_rng(count).integers(0, len(CLASSES), count)
    rng = np.random.default_rng(seed)
    given = np.where(rng.random(count) < right, truth, rng.integers(0, len(CLASSES), count))
    probabilities = np.full((count, len(CLASSES)), 0.1, np.float32)
    probabilities[np.arange(count), given] = 0.8
    image = np.array([f"cells/{first + number:05d}.png" for number in range(count)])
    return ClassTable(image, np.full(count, "cells"), truth, probabilities, tuple(CLASSES))


def log_training(
    client: MlflowClient, folder: Path, trained: Trained, name: str = "", parent: str = ""
) -> str:
    """The id of a finished run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    experiment = client.get_experiment_by_name("lines")
    where = (folder / "artifacts").as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment("lines", where)
    tags = {
        "mlops.system": "lines",
        "mlops.kind": "training",
        "mlops.recipe_digest": trained.recipe,
        "mlops.dataset_digest": trained.digest,
        **({"mlflow.parentRunId": parent, "mlops.trial": "0"} if parent else {}),
    }
    run_id = str(client.create_run(experiment_id, tags=tags, run_name=name or None).info.run_id)
    metrics = [Metric("time/epoch_s", value, 0, step) for step, value in enumerate(trained.epoch_s, 1)]
    metrics += [Metric(name, value, 0, 0) for name, value in trained.metrics.items()]
    client.log_batch(run_id, metrics=metrics, params=[Param("seed", str(trained.seed))])
    pictures = {"train": trained.trained_on, "val": 10, "test": 40}
    profile = json.dumps({"pictures": pictures, "classes": list(trained.classes)})
    dataset = Dataset("lines", trained.digest[:36], "local", "{}", profile=profile)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    if trained.table is not None:
        client.log_artifact(run_id, str(_written(folder, trained)), trained.folder)
    client.set_terminated(run_id)
    return run_id


def register(
    client: MlflowClient, folder: Path, run_id: str, model: str = "lines", tags: Mapping[str, str] = {}
) -> str:
    """A version `model/number` of the run, with an ONNX file of 1,000 bytes."""
    files = folder / f"files-{run_id}"
    files.mkdir()
    (files / "model.onnx").write_bytes(b"x" * 1000)
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    made = client.create_model_version(model, files.as_uri(), run_id=run_id, tags=dict(tags))
    return f"{model}/{made.version}"


def _written(folder: Path, trained: Trained) -> Path:
    table = trained.table
    pictures = tuple(np.unique(table.image).tolist()) if table is not None else ()
    header = Header(trained.tested_on or trained.digest, "test", tuple(trained.classes), pictures, "training")
    if isinstance(table, Boxes):
        nothing = np.where(table.truth, np.nan, 0.0)
        return write_boxes(folder / "boxes.parquet", table, nothing, header)
    assert table is not None
    return write_answers(folder / "predictions.parquet", table, header)
