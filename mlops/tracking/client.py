"""The store in use, as MLflow's client, and what it refuses in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops.errors import MlopsError, ServerUnavailable, UnknownVersion
from mlops.tracking.answers import in_words, is_missing
from mlops.tracking.mlflow_settings import prepare_environment
from mlops.tracking.store import ensure_store, quiet_store_logs, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient


def connect(uri: str | None = None) -> MlflowClient:
    """A client for `uri` (default: the store in use), its SQLite tables made."""
    uri = uri or tracking_uri()
    prepare_environment()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    ensure_store(uri)
    quiet_store_logs()
    from mlflow import MlflowClient

    return MlflowClient(uri, uri)


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Say in one line what MLflow refused while doing `what`.

    Raises UnknownVersion for what is not there, ServerUnavailable for everything else.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlopsError:
        raise
    except MlflowException as error:
        if is_missing(error):
            raise UnknownVersion(f"{what}: {_short(error)}") from error
        raise ServerUnavailable(f"{what}: {in_words(error, tracking_uri())}") from error
    except (RequestException, SQLAlchemyError, OSError) as error:
        raise ServerUnavailable(f"{what}: {in_words(error, tracking_uri())}") from error


def _short(error: BaseException) -> str:
    return str(error).split(": ", 1)[-1].splitlines()[0]
