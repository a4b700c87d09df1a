"""Who is at work: one name for training, approving and releasing, so that the three can be held together."""

from __future__ import annotations

import configparser
import getpass
import os
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

TRAINED_BY_TAG = "mlops.trained_by"


def me() -> str:
    """Whom the tracking server lets in, else MLOPS_USER, else this machine's user.

    The first is the name that MLflow's client logs in with: in the tracking URI, MLFLOW_TRACKING_USERNAME,
    or `~/.mlflow/credentials`. It alone is checked by anyone: by a server with log-in. Where names must be
    proven, a policy lists signing keys.
    """
    logged_in = _from_uri() or os.environ.get("MLFLOW_TRACKING_USERNAME") or _from_credentials()
    if named := logged_in or os.environ.get("MLOPS_USER"):
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid-{os.getuid()}@{socket.gethostname()}"


def _from_uri() -> str:
    parts = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    return unquote(parts.username or "") if parts.scheme in ("http", "https") else ""


def _from_credentials() -> str:
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(Path.home() / ".mlflow" / "credentials", encoding="utf-8")
        return file.get("mlflow", "mlflow_tracking_username", fallback="")
    except (OSError, RuntimeError, configparser.Error, UnicodeDecodeError):
        return ""  # MLflow's client says what is wrong with it
