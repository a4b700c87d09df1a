"""Making MLflow agree with the ledger: after a move, and for one that was interrupted.

An entry in place is a move decided; stage, alias and tag only follow it. So an interrupted move goes forward
when its entry was written, and has never been when it was not. There is no state between the two that the
next command leaves.

Why it ends well however processes overlap: whoever writes a stage, alias or tag reads the ledger again after
his last write, and starts over when its head is another. Take the last write that anyone makes. Either its
author reads the final head after it, and MLflow agrees, or he reads an older one; then the author of the
final entry came later still, looked at MLflow after that write, and put right what he found. A process that
dies before reading again leaves its hand (`registry.hands`), so that the next command does it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlops.errors import MlopsError, ServerUnavailable, UnknownVersion
from registry.chain import Chain
from registry.hands import is_dead, lower_hand, raise_hand
from registry.ledger import read_chain
from registry.shelf import Difference, Kind, Shelf, differences, head_of, look, put_right
from registry.state import Counts, State, state_after

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ROUNDS = 20
_AT_ONCE = 4


def agree(client: MlflowClient, model: str, chain: Chain, counts: Counts) -> Chain:
    """Make MLflow show what `chain` says; the chain as it was when a look found its head unchanged.

    The caller has raised a hand. Raises ServerUnavailable, with the hand left to tell the next command.
    """
    for _ in range(_ROUNDS):
        state = state_after(chain.entries, counts)
        found = _ours(differences(look(client, model), state, head_of(chain)), state)
        _all_at_once(client, model, [d for d in found if d.kind is Kind.ALIAS])
        _all_at_once(client, model, [d for d in found if d.kind is not Kind.ALIAS])
        fresh = read_chain(client, model)
        if fresh.head == chain.head:
            return fresh
        chain = fresh
    raise ServerUnavailable(f"{model} is moved by others all the time; try again when they are done")


def settle(client: MlflowClient, shelf: Shelf, chain: Chain, counts: Counts) -> tuple[str, ...]:
    """Finish what an interrupted move left, where a hand says that there may be one; what was put right.

    Without a hand nothing is touched: a difference is then someone's doing behind the ledger's back, which
    `verify` names and no command hides.
    """
    if not shelf.hands:
        return ()
    state = state_after(chain.entries, counts)
    open_ends = _ours(differences(shelf, state, head_of(chain)), state)
    if open_ends:
        hand = raise_hand(client, shelf.model, "finishing an interrupted move")
        agree(client, shelf.model, chain, counts)
        lower_hand(client, shelf.model, hand)
    for hand, said in shelf.hands.items():
        if is_dead(said):
            _forget(client, shelf.model, hand)
    return tuple(difference.says for difference in open_ends)


def _all_at_once(client: MlflowClient, model: str, found: list[Difference]) -> None:
    """Put right what does not depend on each other, side by side: each is a request of its own."""

    def one(difference: Difference) -> None:
        try:
            put_right(client, model, difference)
        except UnknownVersion:
            return  # deleted meanwhile: `verify` names it

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, found))


def _ours(found: tuple[Difference, ...], state: State) -> list[Difference]:
    """The differences that a move can have left: nothing of versions that the ledger never moved."""
    return [d for d in found if _is_ours(d, state)]


def _is_ours(difference: Difference, state: State) -> bool:
    match difference.kind:
        case Kind.ALIAS:
            return bool(difference.wanted) or difference.found in state.stages
        case Kind.HEAD:
            return bool(difference.wanted)
        case Kind.GONE:
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
