"""Versions of a model in a real store, as training leaves them, at the size of a test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tests.registry.onnx_model import write_onnx

if TYPE_CHECKING:
    from mlflow import MlflowClient

CLASSES = ("mono", "neutro", "blast (big)")


@dataclass(frozen=True)
class Trained:
    """What one training leaves. curves: name -> values of epochs 1, 2, ...; faults: the data check's rows,
    None keeps no check. table: (file name, rows) of the per-sample results.
    """

    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[Mapping[str, Any]] | None = ()
    table: tuple[str, pd.DataFrame] | None = None
    user: str = "ann"


TAGS = {
    "mlops.licence": "MIT",
    "mlops.dataset_digest": "d" * 64,
    "mlops.demo": "false",
    "mlops.class_map": json.dumps(dict(enumerate(CLASSES))),
}


def make_version(client: MlflowClient, folder: Path, model: str, trained: Trained) -> str:
    """Log a study, a training in it and its files, and register a version; its number."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(model)
    where = (folder / "artifacts").as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(model, where)
    study = client.create_run(experiment_id).info.run_id
    run_tags = {"mlflow.parentRunId": study, "mlflow.user": trained.user}
    run = client.create_run(experiment_id, tags=run_tags).info.run_id
    if trained.faults is not None:
        client.log_text(study, json.dumps(list(trained.faults)), "data/data_faults.json")
    for name, values in trained.curves.items():
        for step, value in enumerate(values, start=1):
            client.log_metric(run, name, value, step=step)
    for name, value in trained.metrics.items():
        client.log_metric(run, name, value)
    files = folder / f"files-{run}"
    files.mkdir(parents=True)
    if trained.table is not None:
        name, rows = trained.table
        rows.to_parquet(files / name)
        client.log_artifact(run, str(files / name), "test")
        (files / name).unlink()
    write_onnx(files / "model.onnx")
    (files / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {**TAGS, **trained.tags}
    return str(client.create_model_version(model, files.as_uri(), run_id=run, tags=tags).version)


def answers(right: float, seed: int, count: int = 400, truth_seed: int = 0) -> tuple[str, pd.DataFrame]:
    """A classifier's predictions of `count` pictures, about `right` of them true."""
    names = np.array(CLASSES)
    truth = np.random.default_rng(truth_seed).integers(0, len(names), count)
    rng = np.random.default_rng(seed)
    given = np.where(rng.random(count) < right, truth, rng.integers(0, len(names), count))
    rows = {"image": [str(i) for i in range(count)], "label": names[truth], "predicted": names[given]}
    return "predictions.parquet", pd.DataFrame(rows)


def boxes(found: int, count: int = 60, score: float = 0.9) -> tuple[str, pd.DataFrame]:
    """A detector's boxes: one object on each of `count` pictures, `found` of them with a box on it."""
    truths = [_box(f"{i}.jpg", "truth", None) for i in range(count)]
    given = [_box(f"{i}.jpg", "prediction", score) for i in range(found)]
    return "boxes.parquet", pd.DataFrame([*truths, *given])


def _box(image: str, kind: str, score: float | None) -> dict[str, Any]:
    return {
        "image": image,
        "kind": kind,
        "class": CLASSES[0],
        "class_index": 0,
        "score": score,
        "x1": 1.0,
        "y1": 1.0,
        "x2": 9.0,
        "y2": 9.0,
        "iou": None if score is None else 1.0,
        "matched": None if score is None else True,
    }
