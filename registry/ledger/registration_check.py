"""How a version differs now from what its first ledger entry recorded."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.files.digests import sha256_of
from mlops.store.client import asking
from registry.ledger.registration import METRICS, STUDY, origin_of
from registry.ledger.state import registration_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from registry.ledger.entry import LedgerEntry


def differences(
    client: MlflowClient,
    model: str,
    version: str,
    entries: Sequence[LedgerEntry],
    files: Mapping[str, str] | None = None,
) -> str:
    """A message that names what differs from the registration of `version`; "" if nothing does.

    Compared are the run, the digests of data and recipe and the other tags of the origin, the files of the
    run, and the test metrics; the version's own files only if they are given (path -> SHA-256).
    "" for a version without a registration. Raises UnknownVersion for a version that does not exist.
    """
    registered = registration_of(entries, version)
    if registered is None:
        return ""
    with asking(f"reading {model}/{version}"):
        found = client.get_model_version(model, version)
    run_id = str(found.run_id or "")
    now = origin_of(run_id, {str(key): str(value) for key, value in (found.tags or {}).items()})
    compared = {name for name in registered.origin if name not in (METRICS, "late")}
    names = [name.replace("_", " ") for name in sorted(compared) if registered.origin[name] != now.get(name)]
    if files is not None and registered.file_digests:
        names += _changed(registered.file_digests, files)
    if run_id and run_id == registered.origin.get("run_id"):
        recorded = registered.run_file_digests
        names += _changed(recorded, run_file_digests(client, run_id, recorded) if recorded else {})
        names += _changed_metrics(client, run_id, registered)
    return f"was changed since it was registered: {', '.join(names)}" if names else ""


def run_file_digests(client: MlflowClient, run_id: str, paths: Collection[str]) -> dict[str, str]:
    """The current SHA-256 of those files of a run that exist; `STUDY` paths are of its study's run."""
    study = ""
    if any(path.startswith(STUDY) for path in paths):
        study = _run(client, run_id).data.tags.get("mlflow.parentRunId", "")
    found: dict[str, str] = {}
    listed: dict[tuple[str, str], set[str]] = {}
    for path in paths:
        owner = study if path.startswith(STUDY) else run_id
        below = path.removeprefix(STUDY)
        folder = below.rpartition("/")[0]
        if not owner:
            continue
        if (owner, folder) not in listed:
            listed[owner, folder] = set(artifacts_in(client, owner, folder))
        if below in listed[owner, folder]:
            with tempfile.TemporaryDirectory(prefix="mlops-digest-") as scratch, asking(f"fetching {below}"):
                found[path] = sha256_of(Path(client.download_artifacts(owner, below, scratch)))
    return found


def artifacts_in(client: MlflowClient, run_id: str, folder: str) -> list[str]:
    """The paths of the artifacts in a folder of a run; [] for a run that does not exist."""
    try:
        with asking(f"listing {folder}/ of run {run_id}"):
            return [item.path for item in client.list_artifacts(run_id, folder)]
    except UnknownVersion:
        return []


def _run(client: MlflowClient, run_id: str) -> Run:
    with asking(f"reading run {run_id}"):
        return client.get_run(run_id)


def _changed(recorded: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    return [name for name, digest in recorded.items() if there.get(name) != digest]


def _changed_metrics(client: MlflowClient, run_id: str, registered: LedgerEntry) -> Iterator[str]:
    recorded = json.loads(registered.origin.get(METRICS, "{}"))
    if not recorded:
        return
    there = _run(client, run_id).data.metrics
    for name, value in recorded.items():
        if not math.isclose(there.get(name, math.nan), value, rel_tol=1e-6, abs_tol=1e-9):
            yield name
