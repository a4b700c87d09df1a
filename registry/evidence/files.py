"""A version's files: brought here, hashed, its ONNX file found among them, and what they state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import UnknownVersion
from mlops.tracking.subject import folder_at
from registry.connect import asking

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
