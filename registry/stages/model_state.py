"""A model as a command finds it, after an interrupted move was finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.errors import LedgerBroken, UnknownVersion
from registry.ledger.chain import Chain
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
    """A model as a command finds it: read once, decided on, and moved only if it is still like that."""

    client: MlflowClient
    policy: Policy
    shelf: MlflowState
    chain: Chain
    found: tuple[str, ...] = ()
    lost_head: str = ""  # the entry, "sequence:digest", that the model's tag names and the ledger lacks

    @property
    def model(self) -> str:
        return self.shelf.model

    @property
    def state(self) -> LedgerState:
        return state_after(self.chain.entries, counting(self.policy.signing_keys))

    def version(self, version: str) -> str:
        """`version`, known to be there. Raises UnknownVersion."""
        if version not in self.shelf.versions:
            have = ", ".join(self.shelf.versions) or "none"
            raise UnknownVersion(f"{self.model} has no version {version!r}; it has {have}")
        return version


def begin(client: MlflowClient, model: str, policy: Policy, *, over_faults: bool = False) -> ModelState:
    """Read a model and finish what an interrupted move left.

    Raises UnknownVersion, and LedgerBroken when entries were altered (unless `over_faults`).
    """
    refuse_ledger(model)
    counts = counting(policy.signing_keys)
    shelf = look(client, model)
    chain = read_chain(client, model)  # after the shelf: whatever its head tag names is in here
    if not shelf.hands and open_ends(shelf, chain, counts):
        shelf, chain = still(client, model)  # it was moved between the two, or behind the ledger's back
    taken_out, head_tag = missing_head(shelf, chain), shelf.head
    if not over_faults:
        if chain.unanswered:
            raise broken(chain)
        if taken_out:
            raise LedgerBroken(f"{model}: {taken_out}; `mlops registry verify {model}` says everything")
    # settling would turn the head tag back, and with it what tells of the loss, before an entry names it
    found = () if taken_out else settle(client, shelf, chain, counts)
    if found and shelf.hands:
        shelf, chain = still(client, model)
    return ModelState(client, policy, shelf, chain, found, head_tag if taken_out else "")


def missing_head(shelf: MlflowState, chain: Chain) -> str:
    """A sentence when the entry that the model's tag names is not in the ledger; "" when it is."""
    sequence, _, digest = shelf.head.partition(":")
    if not shelf.head or any(entry.digest == digest for entry in chain.entries):
        return ""
    renamed = "" if chain.entries else ", or the model was renamed, and its ledger goes by the old name"
    return f"the ledger's entry {sequence} was changed or taken out{renamed}"
