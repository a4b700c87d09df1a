"""The user's name, the same for training, approving and releasing, so that they can be compared."""

from __future__ import annotations

import configparser
import getpass
import os
import socket
from pathlib import Path

from mlops.redaction import keep_secret
from mlops.store.credentials import parse_address

TRAINED_BY_TAG = "mlops.trained_by"


def me() -> str:
    """The login on the tracking server, else MLOPS_USER, else the user of this machine.

    The login is from the tracking URI, MLFLOW_TRACKING_USERNAME or `~/.mlflow/credentials`. Only the login is
    verified, by a server with authentication. To prove names without it, list signing keys in the policy.
    """
    logged_in = _from_uri() or os.environ.get("MLFLOW_TRACKING_USERNAME") or _from_credentials()
    if named := logged_in or os.environ.get("MLOPS_USER"):
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid-{os.getuid()}@{socket.gethostname()}"


def _from_uri() -> str:
    """The user of a server's URI. One without a password may be a token, which must not become a name."""
    address = parse_address(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if address.login is None or address.login.password is None:
        return ""
    return address.login.user if address.uri.startswith(("http://", "https://")) else ""


def _from_credentials() -> str:
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(Path.home() / ".mlflow" / "credentials", encoding="utf-8")
        user = file.get("mlflow", "mlflow_tracking_username", fallback="")
        keep_secret(file.get("mlflow", "mlflow_tracking_password", fallback=""), user)
        return user
    except (OSError, RuntimeError, configparser.Error, UnicodeDecodeError):
        return ""  # MLflow's client reports the error
