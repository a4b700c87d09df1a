"""Record the versions that were registered before the ledger did, or by other tools than `mlops train`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

from mlops.errors import NotAllowed, UnknownVersion
from mlops.store.client import asking
from registry.evidence.version_files import ONNX_DIGEST_TAG, WEIGHTS_DIGEST_TAG, file_digests
from registry.ledger.log import read_chain
from registry.ledger.registration import OF_STUDY, STUDY, Registration, belongs, origin_of, register
from registry.ledger.registration_check import artifacts_in, run_file_digests
from registry.ledger.state import changed_files, every, registration_of
from registry.stages.mlflow_state import versions_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from registry.ledger.entry import LedgerEntry

_AT_ONCE = 4


def register_late(client: MlflowClient, model: str) -> tuple[LedgerEntry, ...]:
    """Write the first entry, marked as late, of every version of `model` that has none.

    Left out: a version whose files are missing, or differ from those that a stage change or the version's
    tags recorded (`verify` reports it). Without the permission to write the ledger nothing is written.
    Raises ServerUnavailable.
    """
    entries = read_chain(client, model).entries
    with asking(f"reading the versions of {model}"):
        missing = [v for v in versions_of(client, model) if registration_of(entries, str(v.version)) is None]
    if not missing:
        return ()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda version: _files_of(client, model, version), missing))
    written = []
    for version, registration in zip(missing, found, strict=True):
        number = str(version.version)
        if registration is None or changed_files(entries, number, every, registration.file_digests):
            continue
        if _contradicts(version.tags or {}, registration):
            continue
        try:
            written.append(register(client, model, number, registration, uuid4().hex))
        except NotAllowed:
            break
    return tuple(written)


def _contradicts(tags: Mapping[str, str], registration: Registration) -> bool:
    """Whether a file is not the one of which training wrote the digest into the version's tags."""
    found = {*registration.file_digests.values(), *registration.run_file_digests.values()}
    weights = any(path.startswith("weights/") for path in registration.run_file_digests)
    asked = (ONNX_DIGEST_TAG, WEIGHTS_DIGEST_TAG) if weights else (ONNX_DIGEST_TAG,)
    return any(tags.get(tag) and tags[tag] not in found for tag in asked)


def _files_of(client: MlflowClient, model: str, version: ModelVersion) -> Registration | None:
    run_id, tags = str(version.run_id or ""), {str(k): str(v) for k, v in (version.tags or {}).items()}
    try:
        files = file_digests(client, model, str(version.version))
    except UnknownVersion:
        return None
    of_run: dict[str, str] = {}
    metrics: dict[str, float] = {}
    if run_id:
        try:
            paths = [path for folder in ("weights", "test") for path in artifacts_in(client, run_id, folder)]
            recorded = [path for path in paths if belongs(path)]
            of_run = run_file_digests(client, run_id, (*recorded, OF_STUDY, STUDY + OF_STUDY))
            with asking(f"reading run {run_id}"):
                found = client.get_run(run_id).data.metrics
            metrics = {
                name: value
                for name, value in found.items()
                if name.startswith("test/") and name.count("/") == 1
            }
        except UnknownVersion:
            run_id = ""
    return Registration(files, of_run, origin_of(run_id, tags, metrics, late=True))
