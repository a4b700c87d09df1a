"""Fetch, hash and read the files of a version and of its run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import MlopsError, UnknownVersion
from mlops.store.client import asking
from mlops.store.model_digests import digests
from mlops.store.resolve import folder_at
from registry.evidence.paired_samples import BOXES, PREDICTIONS, Samples, joined, read_samples

if TYPE_CHECKING:
    from mlflow import MlflowClient

ONNX_DIGEST_TAG, WEIGHTS_DIGEST_TAG = "mlops.onnx_digest", "mlops.weights_digest"


@contextmanager
def version_files(client: MlflowClient, model: str, version: str) -> Iterator[Path]:
    """The folder of a version's files: the original if it is on this machine, else a temporary copy.

    Raises UnknownVersion for a version that does not exist or whose files are missing.
    """
    with asking(f"finding the files of {model}/{version}"):
        uri = client.get_model_version_download_uri(model, version)
    with folder_at(client, uri, f"{model}/{version}") as folder:
        yield folder


def file_digests(client: MlflowClient, model: str, version: str) -> dict[str, str]:
    """The current digests of a version's files. Raises UnknownVersion if the files are missing."""
    with version_files(client, model, version) as folder:
        return digests(folder)


def onnx_file(folder: Path, files: Mapping[str, str], name: str) -> Path:
    """The ONNX file of the version `name`. Raises UnknownVersion unless there is exactly one."""
    found = [path for path in files if path.endswith(".onnx")]
    if len(found) != 1:
        raise UnknownVersion(
            f"{name} has {len(found)} ONNX files, expected exactly 1; its files: {', '.join(files)}"
        )
    return folder / found[0]


def stated_in(folder: Path) -> Mapping[str, Any] | None:
    """The preprocessing (with the classes) in a version's files; None if it is missing.

    The tags contain the same, but anyone can change a tag.
    """
    import yaml

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        stated = json.loads(described["metadata"]["preprocessing"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return stated if isinstance(stated, dict) else None


TEST = "test"


def fetch_samples(
    client: MlflowClient, run_id: str, recorded: Collection[str] | None = None
) -> Samples | None:
    """The per-sample test results of a run. Raises MlopsError for a file that cannot be read.

    recorded: the paths that count as evidence; None: all.
    """
    place = _place(client, run_id)
    names = {name for name in _names(client, place, TEST) if recorded is None or f"{TEST}/{name}" in recorded}
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
    """The content of the JSON file at `path` of a run; None if it is missing or not valid JSON."""
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
    """The artifact URI of a run, read once; "" for a deleted run."""
    try:
        with asking(f"reading run {run_id}"):
            return str(client.get_run(run_id).info.artifact_uri).rstrip("/")
    except UnknownVersion:
        return ""


def _names(client: MlflowClient, place: str, folder: str) -> set[str]:
    """Names of the files and folders in `folder`."""
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
