"""The MLflow client of the store in use, its user, and runs that may have been deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.store.client import asking, connect, of_name
from mlops.store.identity import me

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["asking", "connect", "me", "of_name", "run_of"]


def run_of(client: MlflowClient, run_id: str | None) -> Run | None:
    """The training run; None for a version without one, or if it was deleted permanently."""
    if not run_id:
        return None
    try:
        with asking(f"reading run {run_id}"):
            return client.get_run(run_id)
    except UnknownVersion:
        return None
