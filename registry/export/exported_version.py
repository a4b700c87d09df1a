"""Find the version to export and check its files against the recorded digests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import GateRefused, UnknownVersion, UserError
from mlops.store.client import asking
from mlops.store.model_digests import digests
from mlops.store.resolve import find_subject
from registry.evidence.version_files import (
    ONNX_DIGEST_TAG,
    onnx_file,
    stated_in,
    version_files,
)
from registry.ledger.entry import LedgerEntry, Stage
from registry.ledger.log import SUFFIX
from registry.ledger.registration_check import differences
from registry.ledger.state import Counts, changed_files, registration_of, state_after
from registry.policies.recorded_files import ledger_of
from registry.stages.late_registration import register_late
from registry.stages.mlflow_state import ALIASES

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, slots=True)
class Version:
    """stage: by the ledger. preprocessing: as recorded by training. onnx: its file, whose digest matches the
    one recorded by training. files: path to SHA-256 of all its files.

    entry: its last ledger entry; None without any. registered: the one that registered it; None if it could
    not be written.
    """

    model: str
    number: str
    stage: Stage
    tags: Mapping[str, str]
    preprocessing: Mapping[str, Any]
    run: Run
    onnx: Path
    onnx_digest: str
    files: Mapping[str, str]
    entry: LedgerEntry | None
    registered: LedgerEntry | None

    @property
    def name(self) -> str:
        return f"{self.model}/{self.number}"

    @property
    def by_ultralytics(self) -> bool:
        """Whether its network is one of Ultralytics, alone or in a joint one; else it is timm's."""
        return "stride" in self.preprocessing

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self.preprocessing["classes"])


@contextmanager
def opened(client: MlflowClient, given: str) -> Iterator[Version]:
    """The version that `given` names: `MODEL/VERSION`, `MODEL@ALIAS`, or `MODEL` for its newest.

    Raises UnknownVersion for an unknown version, UserError for one that `mlops train` did not register,
    GateRefused if the files differ from those recorded by training or the ledger, or if a tag or an alias
    contradicts the files or the ledger.
    """
    subject = find_subject(client, given)
    if not subject.model or subject.model.endswith(SUFFIX):
        raise UnknownVersion(f"{given!r} is not a model version; use MODEL/VERSION or MODEL@ALIAS")
    model, number = subject.model, subject.version
    with asking(f"reading {subject.name}"):
        found = client.get_model_version(model, number)
        run = client.get_run(subject.run_id)
    tags = {str(key): str(value) for key, value in (found.tags or {}).items()}
    for tag in (ONNX_DIGEST_TAG, "mlops.preprocessing", "mlops.dataset_digest"):
        if not tags.get(tag):
            raise UserError(
                f"{subject.name} has no tag {tag}; only versions registered by `mlops train` can be exported"
            )
    with version_files(client, model, number) as folder:
        files = digests(folder)
        file = onnx_file(folder, files, subject.name)
        digest = files[file.relative_to(folder).as_posix()]
        if digest != tags[ONNX_DIGEST_TAG]:
            raise GateRefused(
                f"{subject.name} is not exported: {file.name} was changed after training (SHA-256 "
                f"{digest[:12]}, recorded {tags[ONNX_DIGEST_TAG][:12]})"
            )
        register_late(client, model)
        entries, counts = ledger_of(client, model)
        _hold_against(entries, counts, found, files)
        if changed := differences(client, model, number, entries, files):
            raise GateRefused(f"{subject.name} is not exported: {changed}")
        stage = state_after(entries, counts).stage_of(number)
        entry = next((e for e in reversed(entries) if e.version == number and counts(e)), None)
        stated = _preprocessing(subject.name, folder, tags["mlops.preprocessing"])
        registered = registration_of(entries, number)
        yield Version(model, number, stage, tags, stated, run, file, digest, files, entry, registered)


def _preprocessing(name: str, folder: Path, tag: str) -> Mapping[str, Any]:
    """The preprocessing in the tag. Raises GateRefused if the version's files state another one."""
    stated = stated_in(folder)
    try:
        told = json.loads(tag)
    except ValueError:
        told = None
    if stated is not None and told != stated:
        raise GateRefused(
            f"{name} is not exported: its tag mlops.preprocessing differs from the preprocessing in its files"
        )
    if not isinstance(told, dict):
        raise UserError(f"{name}: its tag mlops.preprocessing was not written by `mlops train`")
    return told


def _hold_against(
    entries: Sequence[LedgerEntry], counts: Counts, found: ModelVersion, files: Mapping[str, str]
) -> None:
    """Raises GateRefused if an alias or the files differ from those in the ledger."""
    model, number = str(found.name), str(found.version)
    state = state_after(entries, counts)
    for stage, alias in ALIASES.items():
        if alias in (found.aliases or ()) and state.holder(stage) != number:
            raise GateRefused(
                f"{model}/{number} has the alias @{alias} but is not in {stage} by the ledger; "
                f"run `mlops registry verify {model}` for details"
            )
    if changed := changed_files(entries, number, counts, files):
        raise GateRefused(f"{model}/{number} is not exported: {changed}")


def bundle_folder(client: MlflowClient, given: str) -> Path:
    """The default path of a bundle: `export/MODEL-VERSION`. Raises UnknownVersion."""
    subject = find_subject(client, given)
    return Path("export") / f"{subject.model}-{subject.version}"
