"""The ledger on an MLflow server: one append-only log a model, over plain HTTP.

Where it lies
    The ledger of `railway-detector` is the registered model `railway-detector.ledger`; each of its versions
    is one slot, whose tag `mlops.ledger.entry` holds the entry and whose description says it in words.
    Everyone who sees the server sees it, and MLflow's own pages show it.

Why two can never both win
    1. `create_model_version` is one transaction: number = highest + 1, with (name, number) the primary key.
       Of two at once, one waits or is made to try again. So numbers are given once, without gaps, in the
       order of commitment; whoever reads slot n reads every slot before it, and no slot is ever put in
       between later. (A deleted version keeps its row, so that its number is not given again.)
    2. Each entry names the digest of the entry that its author saw last, and travels inside that one request.
    3. Which entries count is a function of the slots in order (`chain.follow`): a slot counts when it names
       the entry that counted last. Two that were decided on the same entry name the same digest; the one with
       the lower number counts, which makes the other stale, for every reader and for ever. Adding slots never
       changes what the slots before them mean, so whoever has read his own entry as counted has won for good.
    There is no intent to be left behind by a dead process, no time after which one is void, and no lock: a
    process that dies before the request has done nothing, one that dies after it has won or lost.

What it does not withstand
    Who may write to the server may rewrite an entry together with all that follow it and the head tag; where
    a policy lists signing keys, that needs the keys of everyone who wrote them. Taking out the last entries
    and turning the head tag back shows by the date that MLflow gives the log when one of its slots is
    deleted, and by the gap in the numbers as soon as the next one is written. An entry's own time is by
    its author's clock; what was when is told by the server's, which dates each slot.

Lost answers
    A request whose answer is lost may have been done, may be done later, or never. The entry's uid is looked
    for; where it is not found the same entry is sent again. A second copy names an entry that the first has
    replaced as the last, so it is stale and counts for nothing.
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
    """Raises UserError for a model that is another's ledger, which has no stages of its own."""
    if model.endswith(SUFFIX):
        raise UserError(f"{model} is a ledger; give the model it belongs to: {model.removesuffix(SUFFIX)}")


def read(model: str, client: MlflowClient | None = None) -> tuple[LedgerEntry, ...]:
    """The entries of `model` that count, oldest first; () where nothing was ever recorded."""
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
    """When the server last changed the log itself: wrote or deleted a slot, or renamed or described it.

    To be asked before the chain is read, whose `last_ms` it is where nothing but writing slots was done.
    0 where there is no log, or nothing was done since it was opened.
    """
    try:
        with asking(f"reading the ledger of {model}"):
            log = client.get_registered_model(ledger_name(model))
    except UnknownVersion:
        return 0
    changed, opened = log.last_updated_timestamp or 0, log.creation_timestamp or 0
    return int(changed) if changed > opened else 0


def append(client: MlflowClient, entry: LedgerEntry) -> Chain:
    """Write `entry` and return the chain as it then stands, with it in place.

    Raises MoveLost when another entry took its place, LedgerBroken when the chain is not whole, NotAllowed,
    and ServerUnavailable when the answer stays away (the entry may then be in place or not).
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
        except NotAllowed:  # a server with log-in says that of a log that is not there, too
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
    raise failure or ServerUnavailable(f"the ledger of {entry.model} does not take an entry")


def broken(chain: Chain) -> LedgerBroken:
    """What to say where `chain` has faults; an override may still add to it, and is marked for ever."""
    return LedgerBroken(
        f"{chain.unanswered[0]}: nothing of {chain.model} moves on top of that; `mlops registry verify "
        f"{chain.model}` says everything, --override-reason goes on from the last whole entry"
    )


def lost_to(entry: LedgerEntry, chain: Chain) -> str:
    """What to tell the author of an entry that came second."""
    winner = chain.entries[entry.sequence - 1] if len(chain.entries) >= entry.sequence else None
    first = winner.in_words() if winner else "the ledger was changed"
    return (
        f"{entry.model}: {entry.action} of version {entry.version} came second and changed nothing; "
        f"entry {entry.sequence} is: {first}. See `mlops registry status`, then decide again"
    )


def _read_after(client: MlflowClient, entry: LedgerEntry, failure: ServerUnavailable | None) -> Chain:
    try:
        return read_chain(client, entry.model)
    except ServerUnavailable as error:
        raise failure or error from error


def _make_log(client: MlflowClient, model: str) -> bool:
    """Make the registered model that holds the log; False where it is there."""
    from mlflow.exceptions import MlflowException

    with asking(f"opening the ledger of {model}"):
        try:
            client.create_registered_model(
                ledger_name(model),
                tags={LEDGER_OF_TAG: model},
                description=f"The ledger of {model}: each stage change, approval and rollback, in order, "
                f"one version each. Append-only: `mlops registry verify {model}` names alterations.",
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
