"""The store in use, as MLflow's client, and who is using it."""

from __future__ import annotations

import getpass
import os
import socket

from mlops.tracking.client import asking, connect

__all__ = ["asking", "connect", "me"]


def me() -> str:
    """Who acts: the name that the tracking server lets in, else MLOPS_USER, else the name at this machine.

    Only the first is checked by anyone. Where names must be proven, a policy lists signing keys.
    """
    named = os.environ.get("MLFLOW_TRACKING_USERNAME") or os.environ.get("MLOPS_USER")
    if named:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid-{os.getuid()}@{socket.gethostname()}"
