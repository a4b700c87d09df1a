"""Update MLflow to match the ledger, after a stage change and after an interrupted one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlops.errors import MlopsError, ServerUnavailable, UnknownVersion
from registry.ledger.chain import Chain
from registry.ledger.log import read_chain
from registry.ledger.state import Counts, LedgerState, state_after
from registry.stages.in_progress import is_dead, lower_hand, raise_hand
from registry.stages.mlflow_state import (
    Difference,
    DifferenceKind,
    MlflowState,
    differences,
    head_of,
    look,
    put_right,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ROUNDS = 20
_AT_ONCE = 4


def agree(client: MlflowClient, model: str, chain: Chain, counts: Counts) -> Chain:
    """Update MLflow to match `chain`; returns the chain whose head did not change meanwhile.

    The caller has set the in-progress tag. Raises ServerUnavailable; the tag then stays for the next command.
    """
    for _ in range(_ROUNDS):
        found = open_ends(look(client, model), chain, counts)
        _all_at_once(client, model, [d for d in found if d.kind is DifferenceKind.ALIAS])
        _all_at_once(client, model, [d for d in found if d.kind is not DifferenceKind.ALIAS])
        fresh = read_chain(client, model)
        if fresh.head == chain.head:
            return fresh
        chain = fresh
    raise ServerUnavailable(f"concurrent changes to {model}; retry")


def settle(client: MlflowClient, shelf: MlflowState, chain: Chain, counts: Counts) -> tuple[str, ...]:
    """Finish an interrupted stage change if an in-progress tag exists; returns a message per difference.

    Without the tag nothing is changed: the difference was then made outside the ledger. It is reported, here
    and by `verify`, and the next stage change fixes it.
    """
    found = open_ends(shelf, chain, counts)
    if not shelf.hands:
        return tuple(f"changed outside the ledger: {difference.says}" for difference in found)
    if found:
        hand = raise_hand(client, shelf.model, "finishing an interrupted stage change")
        agree(client, shelf.model, chain, counts)
        lower_hand(client, shelf.model, hand)
    for hand, said in shelf.hands.items():
        if is_dead(said):
            _forget(client, shelf.model, hand)
    return tuple(f"fixed after an interrupted stage change: {difference.says}" for difference in found)


def still(client: MlflowClient, model: str) -> tuple[MlflowState, Chain]:
    """A consistent pair of shelf and chain: read until the chain's head is the same before and after.

    If such a shelf has no in-progress tag, all changes of the chain are complete.
    """
    before = read_chain(client, model)
    for _ in range(_ROUNDS):
        shelf = look(client, model)
        chain = read_chain(client, model)
        if chain.head == before.head:
            return shelf, chain
        before = chain
    raise ServerUnavailable(f"concurrent changes to {model}; retry")


def open_ends(shelf: MlflowState, chain: Chain, counts: Counts) -> list[Difference]:
    """The differences that a stage change can have left: only versions that are in the ledger."""
    state = state_after(chain.entries, counts)
    return [d for d in differences(shelf, state, head_of(chain)) if _is_ours(d, state)]


def _all_at_once(client: MlflowClient, model: str, found: list[Difference]) -> None:
    """Fix independent differences concurrently; each is one request."""

    def one(difference: Difference) -> None:
        try:
            put_right(client, model, difference)
        except UnknownVersion:
            return  # deleted meanwhile; `verify` reports it

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, found))


def _is_ours(difference: Difference, state: LedgerState) -> bool:
    match difference.kind:
        case DifferenceKind.ALIAS:
            return bool(difference.wanted) or difference.found in state.stages
        case DifferenceKind.HEAD:
            return bool(difference.wanted)
        case DifferenceKind.GONE:
            return False
        case _:
            return difference.subject in state.stages


def _forget(client: MlflowClient, model: str, hand: str) -> None:
    try:
        lower_hand(client, model, hand)
    except ServerUnavailable:
        raise
    except MlopsError:
        return  # another command has removed it
