"""What an evaluation finds on a run, and what it adds to it."""

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
_BATCH = 1000  # metrics of one request
# what is measured here and nowhere else; all other figures are training's own and stay as they are
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
    """The table of this split that is on the run; one that an evaluation made goes before training's.

    fits: whether a table is of the data at hand. None where there is none, or none that can be read.
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
    """The paths of a run's files in a folder; none where there is no such folder."""
    try:
        with asking(f"listing {folder} of run {run_id}"):
            return {item.path for item in client.list_artifacts(run_id, folder)}
    except UnknownVersion:
        return set()


def refuse_unwritable(folder: Path) -> None:
    """Raises UserError where nothing can be written, before minutes are spent on what goes there."""
    place = folder.absolute()
    nearest = next(each for each in (place, *place.parents) if each.exists())
    if not nearest.is_dir():
        raise UserError(f"--out {folder}: {nearest} is a file; name a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"--out {folder}: {nearest} cannot be written to; name another folder")


def keep_files(client: MlflowClient, run_id: str, files: Sequence[tuple[Path, str]]) -> None:
    """Put each file into its folder of the run."""
    for file, folder in files:
        with asking(f"keeping {file.name} on run {run_id}"):
            client.log_artifact(run_id, str(file), folder)


def keep_metrics(
    client: MlflowClient, run: Run, prefix: str, metrics: Mapping[str, float]
) -> tuple[str, ...]:
    """Log what the run does not have yet, or what evaluation itself had measured otherwise.

    Returns a sentence for each headline that training measured and that differs here.
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
                f"{key} stays {known:.4f} on the run, as training measured it; here it is {value:.4f}"
            )
    for start in range(0, len(fresh), _BATCH):
        with asking(f"keeping figures on run {run.info.run_id}"):
            client.log_batch(run.info.run_id, metrics=fresh[start : start + _BATCH])
    return tuple(differs)


def value_at_best(client: MlflowClient, run: Run, name: str) -> float | None:
    """A training figure at the epoch whose weights were kept; None where it is not known."""
    kept = run.data.metrics
    if f"best/{name}" in kept:
        return float(kept[f"best/{name}"])
    best = kept.get("best/epoch")
    if name not in kept or best is None:
        return None
    with asking(f"reading the curve of {name}"):
        curve = client.get_metric_history(run.info.run_id, name)
    return next((float(point.value) for point in curve if point.step == best), None)
