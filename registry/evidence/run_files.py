"""Files of a run, fetched and read; what is not there is None."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import MlopsError, UnknownVersion
from registry.connect import asking
from registry.evidence.samples import BOXES, PREDICTIONS, Samples, joined, read_samples

if TYPE_CHECKING:
    from mlflow import MlflowClient

TEST = "test"


def fetch_samples(client: MlflowClient, run_id: str) -> Samples | None:
    """The per-sample test results of a run. Raises MlopsError for a file that cannot be read."""
    place = _place(client, run_id)
    names = _names(client, place, TEST)
    parts = [_read(client, run_id, place, name) for name in (PREDICTIONS, BOXES) if name in names]
    return joined(parts)


def _read(client: MlflowClient, run_id: str, place: str, name: str) -> Samples:
    with tempfile.TemporaryDirectory(prefix="mlops-samples-") as folder:
        file = _fetch(client, place, f"{TEST}/{name}", folder)
        try:
            return read_samples(file)
        except (OSError, ValueError, KeyError) as error:
            raise MlopsError(f"{TEST}/{name} of run {run_id} cannot be read: {error}") from error


def fetch_json(client: MlflowClient, run_id: str, path: str) -> object | None:
    """What the JSON file at `path` of a run holds; None for no such file or one that is no JSON."""
    place = _place(client, run_id)
    above, _, name = path.rpartition("/")
    if name not in _names(client, place, above):
        return None
    with tempfile.TemporaryDirectory(prefix="mlops-json-") as folder:
        file = _fetch(client, place, path, folder)
        try:
            held: object = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            return None
        return held


def _place(client: MlflowClient, run_id: str) -> str:
    """Where the files of a run lie; "" for a run that is gone. The client's own ways by run ask each time."""
    try:
        with asking(f"reading run {run_id}"):
            return str(client.get_run(run_id).info.artifact_uri).rstrip("/")
    except UnknownVersion:
        return ""


def _names(client: MlflowClient, place: str, folder: str) -> set[str]:
    """Names of what lies in `folder`."""
    import mlflow.artifacts

    if not place:
        return set()
    try:
        with asking(f"listing {place}/{folder}"):
            listed = mlflow.artifacts.list_artifacts(
                artifact_uri=f"{place}/{folder}", tracking_uri=client.tracking_uri
            )
    except UnknownVersion:
        return set()
    return {item.path.rpartition("/")[2] for item in listed}


def _fetch(client: MlflowClient, place: str, path: str, folder: str) -> Path:
    import mlflow.artifacts

    with asking(f"fetching {place}/{path}"):
        fetched = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{place}/{path}", dst_path=folder, tracking_uri=client.tracking_uri
        )
    return Path(fetched)
