"""Compare a version's files with its ledger, under the signing keys of the model's policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.errors import GateRefused
from registry.ledger.log import read_chain
from registry.ledger.registration_check import differences
from registry.ledger.signing import counting
from registry.ledger.state import changed_files
from registry.policies.policy import list_policies, load_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from registry.ledger.entry import LedgerEntry
    from registry.ledger.state import Counts


def ledger_of(client: MlflowClient, model: str) -> tuple[tuple[LedgerEntry, ...], Counts]:
    """The valid entries of `model`, and which of them count."""
    keys = load_policy(model).signing_keys if model in list_policies() else ()
    return read_chain(client, model).entries, counting(keys)


def refuse_changed(
    client: MlflowClient, model: str, version: str, files: Mapping[str, str], done: str
) -> None:
    """Raise GateRefused if `files` (path -> SHA-256) differ from those that the ledger recorded last, or the
    version from its registration.

    done: what is refused, e.g. "measured".
    """
    entries, counts = ledger_of(client, model)
    changed = changed_files(entries, version, counts, files)
    if changed := changed or differences(client, model, version, entries, files):
        raise GateRefused(f"{model}/{version} is not {done}: {changed}")
