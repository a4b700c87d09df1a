"""A tag on the registered model marks a stage change that is in progress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from mlops.store.client import asking
from registry.stages.mlflow_state import HAND_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

# much longer than a pending request can take
_DEAD_AFTER = timedelta(minutes=10)


def raise_hand(client: MlflowClient, model: str, what: str) -> str:
    """Mark a stage change of `model` as in progress; returns the name of the tag."""
    hand = HAND_TAG + uuid4().hex[:12]
    with asking(f"writing to {model}"):
        client.set_registered_model_tag(model, hand, f"{now()} {what}")
    return hand


def lower_hand(client: MlflowClient, model: str, hand: str) -> None:
    """Remove the tag; it may be removed already."""
    with asking(f"writing to {model}"):
        client.delete_registered_model_tag(model, hand)


def is_dead(said: str) -> bool:
    """Whether the stage change of this marker can no longer be running."""
    try:
        since = datetime.fromisoformat(said.split(" ", 1)[0])
        return abs(datetime.now(UTC) - since) > _DEAD_AFTER  # a time in the future is from a wrong clock
    except (ValueError, TypeError):
        return True


def now() -> str:
    """The current time in the format of the ledger."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
