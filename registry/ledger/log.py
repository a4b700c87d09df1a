"""The ledger on an MLflow server: one append-only log per model, over plain HTTP.

Storage
    The ledger of `railway-detector` is the registered model `railway-detector.ledger`. Each of its versions
    is one slot: the tag `mlops.ledger.entry` contains the entry, the description is its sentence. It is
    visible to all users of the server, also in the MLflow UI.

Why two concurrent changes cannot both win
    1. `create_model_version` is one transaction: number = highest + 1, with the primary key (name, number).
       Of two concurrent requests, one waits or retries. So numbers are assigned once, without gaps, in
       commit order. A reader of slot n sees all earlier slots, and no slot is inserted later. (A deleted
       version keeps its row, so its number is not reused.)
    2. Each entry contains the digest of the last entry that its author saw, in the same request.
    3. The valid entries are a function of the ordered slots (`chain.follow`): a slot is valid if it
       references the last valid entry. Two entries that were decided on the same state reference the same
       digest; the one with the lower number is valid and the other is stale, for every reader. New slots
       never change the meaning of earlier slots, so an entry that was read as valid stays valid.
    There are no locks, leases or timeouts: a process that dies before the request has changed nothing; after
    the request, its entry has won or lost.

Limits
    A user with write permission can rewrite an entry, all later entries and the head tag. If the policy lists
    signing keys, this needs the keys of all their authors. Removing the last entries and resetting the head
    tag is detected by the log's modification date in MLflow, and by the gap in the numbers after the next
    entry. An entry's time is from its author's clock; queries by date use the server's time of each slot.

Lost responses
    A request whose response is lost may have been executed, may be executed later, or never. The entry is
    searched by its uid and sent again if it is not found. A second copy references an entry that is no
    longer the last one, so it is stale and ignored.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlops.errors import LedgerBroken, MoveLost, NotAllowed, ServerUnavailable, UnknownVersion, UserError
from mlops.store.client import asking, connect, of_name
from registry.ledger.chain import Chain, Slot, follow
from registry.ledger.entry import LedgerEntry

if TYPE_CHECKING:
    from mlflow import MlflowClient

SUFFIX = ".ledger"
ENTRY_TAG = "mlops.ledger.entry"
LEDGER_OF_TAG = "mlops.ledger.of"
_ATTEMPTS = 4


def ledger_name(model: str) -> str:
    return model + SUFFIX


def refuse_ledger(model: str) -> None:
    """Raises UserError for a model that is a ledger, which has no stages."""
    if model.endswith(SUFFIX):
        raise UserError(f"{model} is a ledger; use its model: {model.removesuffix(SUFFIX)}")


def read(model: str, client: MlflowClient | None = None) -> tuple[LedgerEntry, ...]:
    """The valid entries of `model`, oldest first; () without a ledger."""
    return read_chain(client or connect(), model).entries


def read_chain(client: MlflowClient, model: str) -> Chain:
    """Read the whole log. One request for up to 10,000 slots. Raises ServerUnavailable."""
    slots: list[Slot] = []
    token: str | None = None
    with asking(f"reading the ledger of {model}"):
        while True:
            # oldest first, so that a slot added between two pages cannot move one past the reader
            page = client.search_model_versions(
                of_name(model, SUFFIX), order_by=["version_number ASC"], page_token=token
            )
            slots += [
                Slot(
                    int(v.version),
                    (v.tags or {}).get(ENTRY_TAG, ""),
                    v.description or "",
                    v.creation_timestamp or 0,
                )
                for v in page
            ]
            token = page.token
            if not token:
                return follow(model, slots)


def last_changed_ms(client: MlflowClient, model: str) -> int:
    """When the log was last changed on the server: a slot written or deleted, or the model edited.

    Call it before reading the chain; it equals the chain's `last_ms` if slots were only added.
    0 without a log, or if it was not changed since its creation.
    """
    try:
        with asking(f"reading the ledger of {model}"):
            log = client.get_registered_model(ledger_name(model))
    except UnknownVersion:
        return 0
    changed, opened = log.last_updated_timestamp or 0, log.creation_timestamp or 0
    return int(changed) if changed > opened else 0


def append(client: MlflowClient, entry: LedgerEntry) -> Chain:
    """Write `entry` and return the new chain, which contains it.

    Raises MoveLost if a concurrent entry was first, LedgerBroken if the chain has faults, NotAllowed, and
    ServerUnavailable without a response (the entry may be written or not).
    """
    failure: ServerUnavailable | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(0.2 * attempt)
        try:
            _write(client, entry)
        except UnknownVersion:
            _make_log(client, entry.model)
            continue
        except NotAllowed:  # a server with authentication also answers this for a missing log
            if not _make_log(client, entry.model):
                raise
            continue
        except ServerUnavailable as error:
            failure = error
        chain = _read_after(client, entry, failure)
        if chain.has(entry.uid):
            return chain
        if chain.head != entry.previous:
            raise MoveLost(lost_to(entry, chain))
        if chain.unanswered and not entry.override_reason:
            raise broken(chain)
    raise failure or ServerUnavailable(f"cannot write to the ledger of {entry.model}; retry")


def broken(chain: Chain) -> LedgerBroken:
    """The error for a `chain` with faults; an override can still add an entry."""
    return LedgerBroken(
        f"{chain.unanswered[0]}; stage changes of {chain.model} are blocked. Run `mlops registry verify "
        f"{chain.model}` for details; --override-reason continues from the last valid entry"
    )


def lost_to(entry: LedgerEntry, chain: Chain) -> str:
    """The message for the author of a lost entry."""
    winner = chain.entries[entry.sequence - 1] if len(chain.entries) >= entry.sequence else None
    first = winner.in_words() if winner else "the ledger was changed"
    return (
        f"{entry.model}: {entry.action} of version {entry.version} lost to a concurrent change; nothing was "
        f"written. Entry {entry.sequence} is: {first}. Check `mlops registry status` and retry"
    )


def _read_after(client: MlflowClient, entry: LedgerEntry, failure: ServerUnavailable | None) -> Chain:
    try:
        return read_chain(client, entry.model)
    except ServerUnavailable as error:
        raise failure or error from error


def _make_log(client: MlflowClient, model: str) -> bool:
    """Create the registered model of the log; False if it exists."""
    from mlflow.exceptions import MlflowException

    with asking(f"opening the ledger of {model}"):
        try:
            client.create_registered_model(
                ledger_name(model),
                tags={LEDGER_OF_TAG: model},
                description=f"The ledger of {model}: each stage change, approval and rollback, in order, "
                f"one version each. Append-only: `mlops registry verify {model}` reports alterations.",
            )
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                raise
            return False
    return True


def _write(client: MlflowClient, entry: LedgerEntry) -> None:
    with asking(f"writing to the ledger of {entry.model}"):
        client.create_model_version(
            ledger_name(entry.model),
            source=f"mlops-ledger:/{entry.model}/{entry.sequence}",
            tags={ENTRY_TAG: entry.as_json()},
            description=entry.heading,
            await_creation_for=0,
        )
