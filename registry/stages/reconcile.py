"""Make MLflow agree with the ledger: after a move, and after an interrupted one."""

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
    """Make MLflow show what `chain` says; the chain as it was when a look found its head unchanged.

    The caller has raised a hand. Raises ServerUnavailable, with the hand left to tell the next command.
    """
    for _ in range(_ROUNDS):
        found = open_ends(look(client, model), chain, counts)
        _all_at_once(client, model, [d for d in found if d.kind is DifferenceKind.ALIAS])
        _all_at_once(client, model, [d for d in found if d.kind is not DifferenceKind.ALIAS])
        fresh = read_chain(client, model)
        if fresh.head == chain.head:
            return fresh
        chain = fresh
    raise ServerUnavailable(f"{model} is moved by others all the time; try again when they are done")


def settle(client: MlflowClient, shelf: MlflowState, chain: Chain, counts: Counts) -> tuple[str, ...]:
    """Finish what an interrupted move left, where a hand says that there may be one; a sentence for each.

    Without a hand nothing is touched: a difference is then someone's doing behind the ledger's back. It is
    told, here and by `verify`, and the next move puts it right.
    """
    found = open_ends(shelf, chain, counts)
    if not shelf.hands:
        return tuple(f"changed behind the ledger's back: {difference.says}" for difference in found)
    if found:
        hand = raise_hand(client, shelf.model, "finishing an interrupted move")
        agree(client, shelf.model, chain, counts)
        lower_hand(client, shelf.model, hand)
    for hand, said in shelf.hands.items():
        if is_dead(said):
            _forget(client, shelf.model, hand)
    return tuple(f"left by an interrupted move and put right: {difference.says}" for difference in found)


def still(client: MlflowClient, model: str) -> tuple[MlflowState, Chain]:
    """Shelf and chain of one moment: read until the chain's head was the same before and after.

    Where such a shelf shows no hand, every move of that chain is done, and a difference is no move's.
    """
    before = read_chain(client, model)
    for _ in range(_ROUNDS):
        shelf = look(client, model)
        chain = read_chain(client, model)
        if chain.head == before.head:
            return shelf, chain
        before = chain
    raise ServerUnavailable(f"{model} is moved by others all the time; try again when they are done")


def open_ends(shelf: MlflowState, chain: Chain, counts: Counts) -> list[Difference]:
    """The differences that a move can have left: nothing of versions that the ledger never moved."""
    state = state_after(chain.entries, counts)
    return [d for d in differences(shelf, state, head_of(chain)) if _is_ours(d, state)]


def _all_at_once(client: MlflowClient, model: str, found: list[Difference]) -> None:
    """Put right what does not depend on each other, side by side: each is a request of its own."""

    def one(difference: Difference) -> None:
        try:
            put_right(client, model, difference)
        except UnknownVersion:
            return  # deleted meanwhile: `verify` names it

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
        return  # another command has forgotten it
