"""The state of a model at the start of a command, after an interrupted stage change is finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.errors import LedgerBroken, UnknownVersion
from registry.ledger.chain import Chain
from registry.ledger.entry import Action
from registry.ledger.log import broken, read_chain, refuse_ledger
from registry.ledger.signing import counting
from registry.ledger.state import LedgerState, state_after
from registry.stages.mlflow_state import MlflowState, look
from registry.stages.reconcile import open_ends, settle, still

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.policies.policy import Policy


@dataclass(frozen=True, slots=True)
class ModelState:
    """The state of a model: read once and decided on; a change is written only if the state is unchanged."""

    client: MlflowClient
    policy: Policy
    shelf: MlflowState
    chain: Chain
    found: tuple[str, ...] = ()
    lost_head: str = ""  # the entry, "sequence:digest", in the model's tag that is missing in the ledger

    @property
    def model(self) -> str:
        return self.shelf.model

    @property
    def state(self) -> LedgerState:
        return state_after(self.chain.entries, counting(self.policy.signing_keys))

    @property
    def unregistered(self) -> tuple[str, ...]:
        """The versions without a first entry, see `registry.ledger.registration`."""
        known = {entry.version for entry in self.chain.entries if entry.action is Action.REGISTER}
        return tuple(version for version in self.shelf.versions if version not in known)

    def version(self, version: str) -> str:
        """`version` if it exists. Raises UnknownVersion."""
        if version not in self.shelf.versions:
            have = ", ".join(self.shelf.versions) or "none"
            raise UnknownVersion(f"{self.model} has no version {version!r}; its versions: {have}")
        return version


def begin(client: MlflowClient, model: str, policy: Policy, *, over_faults: bool = False) -> ModelState:
    """Read a model and finish an interrupted stage change.

    Raises UnknownVersion, and LedgerBroken if entries were altered (unless `over_faults`).
    """
    refuse_ledger(model)
    counts = counting(policy.signing_keys)
    shelf = look(client, model)
    chain = read_chain(client, model)  # read after the shelf, so it contains the entry in the head tag
    if not shelf.hands and open_ends(shelf, chain, counts):
        shelf, chain = still(client, model)  # changed between the two reads, or outside the ledger
    taken_out, head_tag = missing_head(shelf, chain), shelf.head
    if not over_faults:
        if chain.unanswered:
            raise broken(chain)
        if taken_out:
            raise LedgerBroken(f"{model}: {taken_out}; run `mlops registry verify {model}` for details")
    # `settle` would reset the head tag, the only trace of the missing entry, before an entry records it
    found = () if taken_out else settle(client, shelf, chain, counts)
    if found and shelf.hands:
        shelf, chain = still(client, model)
    return ModelState(client, policy, shelf, chain, found, head_tag if taken_out else "")


def missing_head(shelf: MlflowState, chain: Chain) -> str:
    """A message if the entry in the model's tag is missing in the ledger; else ""."""
    sequence, _, digest = shelf.head.partition(":")
    if not shelf.head or any(entry.digest == digest for entry in chain.entries):
        return ""
    renamed = "" if chain.entries else ", or the model was renamed and its ledger still has the old name"
    return f"entry {sequence} of the ledger was changed or removed{renamed}"
