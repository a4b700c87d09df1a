"""The MLflow client, its environment, and its errors as MlopsError."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops.errors import MlopsError, NotAllowed, ServerUnavailable, UnknownVersion
from mlops.store.credentials import full_uri
from mlops.store.location import (
    absolute_uri,
    ensure_store,
    is_database,
    prepare_environment,
    quiet_store_logs,
    tracking_uri,
)
from mlops.store.refusals import Meaning, in_words, is_missing, meaning_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


def connect(uri: str | None = None) -> MlflowClient:
    """A client for `uri` (default: the store in use); creates the tables of a SQLite store."""
    uri = absolute_uri(uri) if uri else tracking_uri()
    prepare_environment()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    ensure_store(uri)
    with asking("connecting to the store"):
        return client_for(uri)


def client_for(uri: str) -> MlflowClient:
    """A client for the store at `uri`, with the login that this process knows for it.

    A server's login is added to each request (see `request_login`); a database's driver needs it in its URI.
    """
    quiet_store_logs()
    from mlflow import MlflowClient

    from mlops.store.request_login import add_logins

    keep_interruptible()
    add_logins()
    address = full_uri(uri) if is_database(uri) else uri
    return MlflowClient(address, address)


def keep_interruptible() -> None:
    """Let Ctrl-C interrupt a wait again, which `import mlflow` prevents through polars.

    Polars installs a SIGINT handler with SA_RESTART (signal(7), "Interruption of system calls").
    """
    signal.siginterrupt(signal.SIGINT, True)


def of_name(name: str, suffix: str = "") -> str:
    """MLflow's filter for the model `name` + `suffix`. Raises UnknownVersion for an impossible name."""
    if "'" in name:  # cannot be escaped in a filter
        raise UnknownVersion(f"no registered model {name!r}; list them with `mlops registry status`")
    return f"name = '{name}{suffix}'"


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Convert MLflow's errors while doing `what` to one line.

    Raises UnknownVersion if something does not exist, NotAllowed if the user lacks the permission,
    ServerUnavailable for all other errors.
    """
    try:
        yield
    except MlopsError:
        raise
    except Exception as error:
        if is_missing(error):
            raise UnknownVersion(f"{what}: {_short(error)}") from error
        if isinstance(error, _of_the_store()):
            kind = NotAllowed if meaning_of(error) is Meaning.DENIED else ServerUnavailable
            raise kind(f"{what}: {in_words(error, tracking_uri())}") from error
        raise


def _of_the_store() -> tuple[type[BaseException], ...]:
    """The errors of MLflow's client; SQLAlchemy's only if it is imported already, as the import is slow."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    database = sys.modules.get("sqlalchemy.exc")
    errors = (MlflowException, RequestException, OSError)
    return (*errors, database.SQLAlchemyError) if database is not None else errors


def _short(error: BaseException) -> str:
    return str(error).split(": ", 1)[-1].splitlines()[0]
