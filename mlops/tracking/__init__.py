"""The durable record of a run: an outbox on this machine, delivered to MLflow when it is available."""

from __future__ import annotations

from mlops.store.location import ensure_store, tracking_uri
from mlops.tracking.delivery.deliverer import SyncReport
from mlops.tracking.run import Run, Tracker

__all__ = ["Run", "SyncReport", "Tracker", "ensure_store", "tracking_uri"]
