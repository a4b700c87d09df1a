"""A version's files and its run's files: fetched, hashed, read."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import MlopsError, UnknownVersion
from mlops.store.client import asking
from mlops.store.resolve import folder_at
from registry.evidence.paired_samples import BOXES, PREDICTIONS, Samples, joined, read_samples

if TYPE_CHECKING:
    from mlflow import MlflowClient

ONNX_DIGEST_TAG = "mlops.onnx_digest"
_NOTE = "registered_model_meta"


@contextmanager
def version_files(client: MlflowClient, model: str, version: str) -> Iterator[Path]:
    """The folder of a version's files: where they lie if that is this machine, else a copy for the while.

    Raises UnknownVersion for a version that is not there or whose files are gone.
    """
    with asking(f"finding the files of {model}/{version}"):
        uri = client.get_model_version_download_uri(model, version)
    with folder_at(client, uri, f"{model}/{version}") as folder:
        yield folder


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of every file below `folder`, by its path from there, sorted.

    Not of MLflow's note of a version's name: it writes that beside the files of whatever is loaded by
    `models:/` from this machine's disk, as by `mlflow models serve`.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_note(folder, path))
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def file_digests(client: MlflowClient, model: str, version: str) -> dict[str, str]:
    """The digests of a version's files as they lie now. Raises UnknownVersion when they are gone."""
    with version_files(client, model, version) as folder:
        return digests(folder)


def onnx_file(folder: Path, files: Mapping[str, str], name: str) -> Path:
    """The one ONNX file of the version `name`. Raises UnknownVersion where there is none or more."""
    found = [path for path in files if path.endswith(".onnx")]
    if len(found) != 1:
        raise UnknownVersion(f"{name} holds {len(found)} ONNX files where one is served: {', '.join(files)}")
    return folder / found[0]


def stated_in(folder: Path) -> Mapping[str, Any] | None:
    """The preprocessing that a version's own files state, its classes with it; None where they state none.

    The tags say the same, and anyone may change a tag.
    """
    import yaml

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        stated = json.loads(described["metadata"]["preprocessing"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return stated if isinstance(stated, dict) else None


def _is_note(folder: Path, path: Path) -> bool:
    """Whether `path` holds a version's name and nothing else, at the place where MLflow puts it."""
    if path != folder / _NOTE:
        return False
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return [line.partition(":")[0] for line in lines] == ["model_name", "model_version"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
