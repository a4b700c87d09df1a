"""A tag on the registered model marks a move that is in progress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from mlops.store.client import asking
from registry.stages.mlflow_state import HAND_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

# far more than a request that was sent may still take to be done
_DEAD_AFTER = timedelta(minutes=10)


def raise_hand(client: MlflowClient, model: str, what: str) -> str:
    """Say that something of `model` is being moved; the tag that says it."""
    hand = HAND_TAG + uuid4().hex[:12]
    with asking(f"writing to {model}"):
        client.set_registered_model_tag(model, hand, f"{now()} {what}")
    return hand


def lower_hand(client: MlflowClient, model: str, hand: str) -> None:
    """Take the tag away; one that is gone already is well."""
    with asking(f"writing to {model}"):
        client.delete_registered_model_tag(model, hand)


def is_dead(said: str) -> bool:
    """Whether whoever raised this hand can have nothing under way any more."""
    try:
        since = datetime.fromisoformat(said.split(" ", 1)[0])
        return abs(datetime.now(UTC) - since) > _DEAD_AFTER  # one from the future is of a clock gone wrong
    except (ValueError, TypeError):
        return True


def now() -> str:
    """This moment as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
