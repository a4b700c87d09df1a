"""The inner parts of MLflow that we use, in one place: the store behind a client, its tables, its plug-ins.

The client reads one metric of one run at a time. Its server and its database store give one metric of many
runs at once (the UI's charts use it), and no public method of the client does. The client also makes a SQLite
file's tables at some first call, without the artifact folder that we want and without a lock. It finds
plug-ins by entry points only, which an editable installation has only after it is installed again.
pyproject.toml bounds the version; a test names the attribute that an upgrade breaks.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
_log = logging.getLogger(__name__)


def is_server(client: MlflowClient) -> bool:
    """True when `client` talks to a server; False for a database."""
    return hasattr(_store(client), "get_host_creds")


def histories_in_bulk(
    client: MlflowClient, run_ids: Sequence[str], key: str, most: int
) -> list[dict[str, Any]] | None:
    """Rows of run_id, step, timestamp, value, `most` at most; None where the store cannot give them."""
    store = _store(client)
    if hasattr(store, "get_metric_history_bulk"):
        return [row.to_dict() for row in store.get_metric_history_bulk(run_ids, key, most)]
    if not hasattr(store, "get_host_creds"):
        return None
    from mlflow.utils.rest_utils import http_request

    asked = {"run_id": list(run_ids), "metric_key": key, "max_results": most}
    request: Any = http_request  # untyped in MLflow
    answer = request(store.get_host_creds(), _BULK, "GET", params=asked)
    if answer.status_code != 200:
        _log.debug("no histories in bulk: %s %s", answer.status_code, answer.text[:200])
        return None
    rows: list[dict[str, Any]] = answer.json()["metrics"]
    return rows


def make_tables(uri: str, artifact_root: Path) -> None:
    """Make the tables of the database at `uri`, or migrate them. Raises MlflowException, SQLAlchemyError."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, str(artifact_root))  # type: ignore[no-untyped-call]


def add_request_auth(provider: type[Any]) -> None:
    """Register a provider of request authentication, unless MLflow has found it by its entry point."""
    from mlflow.tracking.request_auth.registry import _request_auth_provider_registry as known

    if all(type(each) is not provider for each in known):
        known.register(provider)  # type: ignore[no-untyped-call]


def _store(client: MlflowClient) -> Any:
    return client._tracking_client.store
