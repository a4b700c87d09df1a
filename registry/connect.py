"""The store in use, as MLflow's client, and who is using it."""

from __future__ import annotations

from mlops.tracking.client import asking, connect
from mlops.tracking.identity import me

__all__ = ["asking", "connect", "me"]
