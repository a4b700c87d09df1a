"""The digests of a model's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.files.digests import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

_NOTE = "registered_model_meta"


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of every file below `folder`, by its relative path, sorted.

    Ignores MLflow's file with the version's name, which it adds when a local model is loaded by `models:/`,
    for example by `mlflow models serve`.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_note(folder, path))
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def _is_note(folder: Path, path: Path) -> bool:
    """Whether `path` is the file in which MLflow writes only a version's name."""
    if path != folder / _NOTE:
        return False
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return [line.partition(":")[0] for line in lines] == ["model_name", "model_version"]
