"""Files of a run, fetched and read; what is not there is None."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import MlopsError, UnknownVersion
from registry.connect import asking
from registry.samples import BOXES, PREDICTIONS, Samples, read_samples

if TYPE_CHECKING:
    from mlflow import MlflowClient

TEST = "test"


def fetch_samples(client: MlflowClient, run_id: str) -> Samples | None:
    """The per-sample test results of a run. Raises MlopsError for a file that cannot be read."""
    names = _names(client, run_id, TEST)
    found = next((name for name in (PREDICTIONS, BOXES) if f"{TEST}/{name}" in names), None)
    if found is None:
        return None
    with tempfile.TemporaryDirectory(prefix="mlops-samples-") as folder:
        file = _fetch(client, run_id, f"{TEST}/{found}", folder)
        try:
            return read_samples(file)
        except (OSError, ValueError, KeyError) as error:
            raise MlopsError(f"{TEST}/{found} of run {run_id} cannot be read: {error}") from error


def fetch_json(client: MlflowClient, run_id: str, path: str) -> object | None:
    """What the JSON file at `path` of a run holds; None for no such file or one that is no JSON."""
    if path not in _names(client, run_id, path.rpartition("/")[0]):
        return None
    with tempfile.TemporaryDirectory(prefix="mlops-json-") as folder:
        file = _fetch(client, run_id, path, folder)
        try:
            held: object = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            return None
        return held


def _names(client: MlflowClient, run_id: str, folder: str) -> set[str]:
    try:
        with asking(f"listing {folder} of run {run_id}"):
            return {item.path for item in client.list_artifacts(run_id, folder)}
    except UnknownVersion:
        return set()


def _fetch(client: MlflowClient, run_id: str, path: str, folder: str) -> Path:
    with asking(f"fetching {path} of run {run_id}"):
        return Path(client.download_artifacts(run_id, path, folder))
