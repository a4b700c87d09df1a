"""What an evaluation reads from a run and logs to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mlops.errors import UnknownVersion, UserError
from mlops.store.client import asking
from mlops.store.names import entity_names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops.metrics.samples.sample_tables import Header

Table = TypeVar("Table")

FOLDER = "evaluation"
_BATCH = 1000  # metrics per request
# metrics that only evaluation computes; all others are from training and are not changed
OURS = ("chosen/", "images/", "froc/", "calibration/", "AUC/", "gap/", "mAP50/", "mAP50-95/", "tta/", "with/")
TESTED = ("test/mAP50", "test/mAP50-95", "test/accuracy", "test/macro_f1")
_TOLERANCE = 5e-4


def find_table(
    client: MlflowClient,
    run_id: str,
    place: str,
    file: str,
    read: Callable[[Path], tuple[Table, Header | None]],
    fits: Callable[[Table, Header | None], bool],
    folder: Path,
) -> Table | None:
    """The run's table of this split; a table of an evaluation is preferred to that of training.

    fits: whether a table is of the current data. None if there is no readable one.
    """
    for path in (f"{FOLDER}/{place}/{file}", f"{place}/{file}"):
        if path not in names_in(client, run_id, path.rpartition("/")[0]):
            continue
        with asking(f"fetching {path} of run {run_id}"):
            fetched = Path(client.download_artifacts(run_id, path, str(folder)))
        try:
            table, header = read(fetched)
        except (OSError, ValueError, KeyError):
            continue
        if fits(table, header):
            return table
    return None


def names_in(client: MlflowClient, run_id: str, folder: str) -> set[str]:
    """The paths of a run's files in a folder; empty if the folder does not exist."""
    try:
        with asking(f"listing {folder} of run {run_id}"):
            return {item.path for item in client.list_artifacts(run_id, folder)}
    except UnknownVersion:
        return set()


def refuse_unwritable(folder: Path) -> None:
    """Raises UserError early if the folder is not writable, as the evaluation takes minutes."""
    place = folder.absolute()
    nearest = next(each for each in (place, *place.parents) if each.exists())
    if not nearest.is_dir():
        raise UserError(f"--out {folder}: {nearest} is a file; choose a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"--out {folder}: {nearest} is not writable; choose another folder")


def keep_files(client: MlflowClient, run_id: str, files: Sequence[tuple[Path, str]]) -> None:
    """Log each file to its folder of the run."""
    for file, folder in files:
        with asking(f"logging {file.name} to run {run_id}"):
            client.log_artifact(run_id, str(file), folder)


def keep_metrics(
    client: MlflowClient, run: Run, prefix: str, metrics: Mapping[str, float]
) -> tuple[str, ...]:
    """Log metrics that the run does not have, and changed metrics of an earlier evaluation.

    Returns a note for each main metric of training that differs from the evaluation.
    """
    from mlflow.entities import Metric

    stored = entity_names([f"{prefix}/{name}" for name in metrics])
    now, fresh, differs = int(time.time() * 1000), [], []
    for name, value in metrics.items():
        key = stored[f"{prefix}/{name}"]
        known = run.data.metrics.get(key)
        if known is None or (name.startswith(OURS) and not np.isclose(known, value, rtol=1e-9, atol=0)):
            fresh.append(Metric(key, float(value), now, 0))
        elif key in TESTED and abs(known - value) > _TOLERANCE:
            differs.append(
                f"{key} is {value:.4f} here but {known:.4f} in training; the run keeps the value of training"
            )
    for start in range(0, len(fresh), _BATCH):
        with asking(f"logging metrics to run {run.info.run_id}"):
            client.log_batch(run.info.run_id, metrics=fresh[start : start + _BATCH])
    return tuple(differs)


def value_at_best(client: MlflowClient, run: Run, name: str) -> float | None:
    """A training metric at the epoch of the stored weights; None if unknown."""
    kept = run.data.metrics
    if f"best/{name}" in kept:
        return float(kept[f"best/{name}"])
    best = kept.get("best/epoch")
    if name not in kept or best is None:
        return None
    with asking(f"reading the curve of {name}"):
        curve = client.get_metric_history(run.info.run_id, name)
    return next((float(point.value) for point in curve if point.step == best), None)
