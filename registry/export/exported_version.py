"""A version as it is exported: found, and its files held against what was recorded of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import GateRefused, UnknownVersion, UserError
from mlops.store.client import asking
from mlops.store.resolve import find_subject
from registry.evidence.version_files import digests, onnx_file, stated_in, version_files
from registry.ledger.entry import LedgerEntry, Stage
from registry.ledger.log import SUFFIX, read_chain
from registry.ledger.signing import counting
from registry.ledger.state import Counts, changed_files, state_after
from registry.policies.policy import list_policies, load_policy
from registry.stages.mlflow_state import ALIASES

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ONNX_TAG, WEIGHTS_TAG = "mlops.onnx_digest", "mlops.weights_digest"


@dataclass(frozen=True, slots=True)
class Version:
    """stage: by the ledger. preprocessing: as training stated it. onnx: its file, with the digest that
    training recorded. files: path to SHA-256 of all its files.

    entry: the last entry of the ledger about it; None where there is none.
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

    @property
    def name(self) -> str:
        return f"{self.model}/{self.number}"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self.preprocessing["classes"])


@contextmanager
def opened(client: MlflowClient, given: str) -> Iterator[Version]:
    """The version that `given` names: `MODEL/VERSION`, `MODEL@ALIAS`, or `MODEL` for its newest.

    Raises UnknownVersion for what is not there, UserError for a version that no training of ours registered,
    GateRefused for files that are not those which training or the ledger recorded, for a tag that says
    otherwise than they do, and for an alias that the ledger knows nothing of.
    """
    subject = find_subject(client, given)
    if not subject.model or subject.model.endswith(SUFFIX):
        raise UnknownVersion(f"{given!r} is no version of a model: give MODEL/VERSION or MODEL@ALIAS")
    model, number = subject.model, subject.version
    with asking(f"reading {subject.name}"):
        found = client.get_model_version(model, number)
        run = client.get_run(subject.run_id)
    tags = {str(key): str(value) for key, value in (found.tags or {}).items()}
    for tag in (ONNX_TAG, "mlops.preprocessing", "mlops.dataset_digest"):
        if not tags.get(tag):
            raise UserError(
                f"{subject.name} has no tag {tag}: only what `mlops train` registered can be exported"
            )
    with version_files(client, model, number) as folder:
        files = digests(folder)
        file = onnx_file(folder, files, subject.name)
        digest = files[file.relative_to(folder).as_posix()]
        if digest != tags[ONNX_TAG]:
            raise GateRefused(
                f"{subject.name}: {file.name} is not the file that training made (SHA-256 {digest[:12]}, "
                f"recorded {tags[ONNX_TAG][:12]}), so it is not exported"
            )
        entries, counts = _ledger_of(client, model)
        _hold_against(entries, counts, found, files)
        stage = state_after(entries, counts).stage_of(number)
        entry = next((e for e in reversed(entries) if e.version == number and counts(e)), None)
        stated = _preprocessing(subject.name, folder, tags["mlops.preprocessing"])
        yield Version(model, number, stage, tags, stated, run, file, digest, files, entry)


def _preprocessing(name: str, folder: Path, tag: str) -> Mapping[str, Any]:
    """What a caller does to a picture, by the tag. Raises GateRefused where the files say otherwise."""
    stated = stated_in(folder)
    try:
        told = json.loads(tag)
    except ValueError:
        told = None
    if stated is not None and told != stated:
        raise GateRefused(
            f"{name}: its tag mlops.preprocessing is not what its files say of classes and pictures, so it "
            "is not exported"
        )
    if not isinstance(told, dict):
        raise UserError(f"{name}: its tag mlops.preprocessing is none that `mlops train` wrote")
    return told


def _ledger_of(client: MlflowClient, model: str) -> tuple[tuple[LedgerEntry, ...], Counts]:
    keys = load_policy(model).signing_keys if model in list_policies() else ()
    return read_chain(client, model).entries, counting(keys)


def _hold_against(
    entries: Sequence[LedgerEntry], counts: Counts, found: ModelVersion, files: Mapping[str, str]
) -> None:
    """Raises GateRefused for files or an alias that are not those which the ledger knows."""
    model, number = str(found.name), str(found.version)
    state = state_after(entries, counts)
    for stage, alias in ALIASES.items():
        if alias in (found.aliases or ()) and state.holder(stage) != number:
            raise GateRefused(
                f"{model}/{number} has the alias @{alias}, and by the ledger it is not in {stage}: `mlops "
                f"registry verify {model}` says everything"
            )
    if changed := changed_files(entries, number, counts, files):
        raise GateRefused(f"{model}/{number} is not exported: {changed}")


def bundle_folder(client: MlflowClient, given: str) -> Path:
    """Where a bundle goes when nothing is said: `export/MODEL-VERSION`. Raises UnknownVersion."""
    subject = find_subject(client, given)
    return Path("export") / f"{subject.model}-{subject.version}"
