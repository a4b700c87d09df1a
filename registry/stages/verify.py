"""Compare MLflow, the models' files and the stored evidence with the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.store.model_digests import digests
from registry.evidence.version_files import version_files
from registry.ledger.chain import Chain
from registry.ledger.entry import Action, LedgerEntry
from registry.ledger.log import last_changed_ms
from registry.ledger.registration_check import differences as registered_differences
from registry.ledger.signing import counting
from registry.ledger.state import Counts, LedgerState, recorded_files, registration_of, state_after
from registry.stages.judgement import kept
from registry.stages.mlflow_state import Difference, DifferenceKind, differences, head_of
from registry.stages.model_state import missing_head
from registry.stages.reconcile import still

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow import MlflowClient

_AT_ONCE = 4
_CLOCKS_APART = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class LedgerFinding:
    """what: ledger, stage, alias, tag, file, evidence, signature; says: the message."""

    what: str
    says: str


@dataclass(frozen=True, slots=True)
class VerifiedModel:
    """versions: those in the ledger. faults: changes made outside the ledger. notes: other remarks."""

    model: str
    entries: int
    versions: int
    files: int
    faults: tuple[LedgerFinding, ...]
    notes: tuple[str, ...]

    @property
    def well(self) -> bool:
        return not self.faults


def verify(
    client: MlflowClient, model: str, keys: Sequence[str] = (), *, files: bool = True
) -> VerifiedModel:
    """Verify the chain and compare it with MLflow. Changes nothing.

    keys: the policy's signing keys. files: also hash the files of every version in the ledger and the stored
    evidence. Raises UnknownVersion for an unknown model, ServerUnavailable.
    """
    counts = counting(keys)
    changed_ms = last_changed_ms(client, model)
    shelf, chain = still(client, model)
    state = state_after(chain.entries, counts)
    faults = [LedgerFinding("ledger", says) for says in (*chain.faults, *_reworded(chain))]
    if changed_ms > chain.last_ms:
        says = f"the ledger was changed or truncated on {_when(changed_ms)}, after its last entry"
        faults.append(LedgerFinding("ledger", says))
    if taken_out := missing_head(shelf, chain):
        faults.append(LedgerFinding("ledger", taken_out))
    faults += [LedgerFinding("ledger", _passed_over(entry)) for entry in chain.entries if entry.over]
    faults += _unsigned(chain, counts)
    faults += _registered_again(chain)
    found = differences(shelf, state, head_of(chain))
    faults += [
        LedgerFinding(d.kind.value, _blamed(d, state)) for d in found if not (taken_out and _is_head(d))
    ]
    checked = 0
    if files:
        every = {v: recorded_files(chain.entries, v, counts) for v in shelf.versions}
        recorded = {v: names for v, names in every.items() if names}
        checked = sum(len(names) for names in recorded.values())
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for some in pool.map(lambda v: list(_files(client, model, v, recorded[v])), recorded):
                faults += some
            for some in pool.map(lambda v: list(_registration(client, chain, v)), shelf.versions):
                faults += some
            judged = [entry for entry in chain.entries if entry.evidence_digest]
            for some in pool.map(lambda entry: list(_evidence(client, entry)), judged):
                faults += some
    notes = [
        f"a stage change is in progress or was interrupted: {said}; the next command finishes it"
        for said in shelf.hands.values()
    ]
    notes += _misdated(chain)
    notes += _by_another_policy(chain)
    if not keys and any(entry.signature for entry in chain.entries):
        notes.append("entries are signed, but the policy has no key to verify them; pass it with --policy")
    notes += [
        f"version {version} has no registration entry; the next command that changes a stage writes it"
        for version in shelf.versions
        if registration_of(chain.entries, version) is None
    ]
    notes += [f"ledger slot {slot.number} lost to a concurrent change and is ignored" for slot in chain.lost]
    return VerifiedModel(
        model,
        len(chain.entries),
        len({entry.version for entry in chain.entries}),
        checked,
        tuple(faults),
        tuple(notes),
    )


def _is_head(difference: Difference) -> bool:
    return difference.kind is DifferenceKind.HEAD


def _blamed(difference: Difference, state: LedgerState) -> str:
    """The difference, and the entry that it contradicts."""
    entry = state.last.get(difference.subject)
    return f"{difference.says} (entry {entry.sequence}: {entry.in_words()})" if entry else difference.says


def _reworded(chain: Chain) -> Iterator[str]:
    for entry, slot in zip(chain.entries, chain.places, strict=True):
        if slot.words != entry.heading:
            yield f"entry {entry.sequence} has the description {slot.words[:80]!r}; it is: {entry.in_words()}"


def _passed_over(entry: LedgerEntry) -> str:
    gone = entry.over.partition(":")[0]
    return f"entry {gone} was changed or removed before entry {entry.sequence} ({entry.in_words()})"


def _by_another_policy(chain: Chain) -> Iterator[str]:
    for entry in chain.entries:
        if entry.policy:
            yield f"entry {entry.sequence} was judged by a policy that is not the built-in one"


def _misdated(chain: Chain) -> Iterator[str]:
    for entry, slot in zip(chain.entries, chain.places, strict=True):
        taken = datetime.fromtimestamp(slot.taken_ms / 1000, UTC)
        if abs(datetime.fromisoformat(entry.time) - taken) > _CLOCKS_APART:
            said = entry.time[:19].replace("T", " ")
            yield f"entry {entry.sequence} is dated {said} UTC, the server received it {_when(slot.taken_ms)}"


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _unsigned(chain: Chain, counts: Counts) -> Iterator[LedgerFinding]:
    for entry in chain.entries:
        if not counts(entry):
            says = f"entry {entry.sequence} is not signed by a key of the policy and does not count"
            yield LedgerFinding("signature", f"{says}: {entry.in_words()}")


def _registration(client: MlflowClient, chain: Chain, version: str) -> Iterator[LedgerFinding]:
    if changed := registered_differences(client, chain.model, version, chain.entries):
        yield LedgerFinding("file", f"version {version}: {changed}")


def _registered_again(chain: Chain) -> Iterator[LedgerFinding]:
    for entry in chain.entries:
        if entry.action is Action.REGISTER and registration_of(chain.entries, entry.version) != entry:
            says = f"entry {entry.sequence} registers version {entry.version} again and does not count"
            yield LedgerFinding("ledger", f"{says}: {entry.in_words()}")


def _files(
    client: MlflowClient, model: str, version: str, recorded: Mapping[str, str]
) -> Iterator[LedgerFinding]:
    try:
        with version_files(client, model, version) as folder:
            there = digests(folder)
    except UnknownVersion as error:
        yield LedgerFinding("file", str(error))
        return
    for name in sorted({*recorded, *there}):
        if name not in there:
            yield LedgerFinding("file", f"version {version}: {name} is missing")
        elif name not in recorded:
            yield LedgerFinding("file", f"version {version}: {name} was added")
        elif there[name] != recorded[name]:
            yield LedgerFinding("file", f"version {version}: {name} was changed")


def _evidence(client: MlflowClient, entry: LedgerEntry) -> Iterator[LedgerFinding]:
    """Verify the stored evidence of an entry."""
    try:
        content = kept(client, entry.model, entry.version, entry.evidence_digest)
    except UnknownVersion as error:
        yield LedgerFinding("evidence", f"entry {entry.sequence}: {error}")
        return
    if hashlib.sha256(content).hexdigest() != entry.evidence_digest:
        yield LedgerFinding("evidence", f"entry {entry.sequence}: its evidence was changed")
