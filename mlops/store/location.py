"""The store in use: an MLflow server, or a database that is opened directly."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from contextlib import closing
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from mlops.errors import BadSetting, DiskFull, UserError
from mlops.files.locks import locked
from mlops.store.credentials import printable, store_uri
from mlops.store.mlflow_internals import make_tables

DEFAULT_URI = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def tracking_uri() -> str:
    """The store in use: MLFLOW_TRACKING_URI, or `mlflow.db` in the working directory."""
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)


def absolute_uri(uri: str, given_by: str = "MLFLOW_TRACKING_URI") -> str:
    """`uri` in the canonical form of the outbox, without its login (see `credentials`).

    Raises BadSetting for an unsupported store.

    >>> absolute_uri("http://127.0.0.1:5000/")
    'http://127.0.0.1:5000'
    """
    uri = uri.strip() or DEFAULT_URI
    if uri.startswith(_SQLITE):
        return _SQLITE + str(Path(uri.removeprefix(_SQLITE)).expanduser().absolute())
    clean = store_uri(uri)
    try:
        parts = urlsplit(clean)
        scheme = parts.scheme.split("+")[0]
        host = parts.hostname or ""
    except ValueError:  # e.g. http://[half an address
        scheme = host = ""
    server = scheme in ("http", "https") and host
    if server or scheme in _DATABASES[1:] or clean.startswith("databricks"):
        return clean
    raise BadSetting(
        "the tracking URI",
        given_by,
        printable(uri),
        "http(s)://..., sqlite:///FILE, postgresql://...",
    )


def is_database(uri: str) -> bool:
    """Whether `uri` is a database that this process writes directly, without a server."""
    return urlsplit(uri).scheme.split("+")[0] in _DATABASES


def database_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def artifact_root(uri: str) -> Path:
    """The folder of artifacts of a store without a server: `mlartifacts` next to its file.

    `mlops server` serves the same folder, so it also shows the files of earlier runs.
    """
    file = database_file(uri)
    return (file.parent if file else Path.cwd()) / "mlartifacts"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Artifact location of a new experiment, as an absolute file URI; None: the server decides."""
    if not is_database(uri):
        return None
    from mlops.store.names import folder_name

    return (artifact_root(uri) / folder_name(experiment)).as_uri()


def ensure_store(uri: str) -> None:
    """Create the tables of a SQLite store before concurrent use; does nothing for a server.

    MLflow creates them without a lock, so processes that start together on a new file would fail.
    Raises DiskFull, or UserError if the file cannot be used as a store.
    """
    uri = absolute_uri(uri)
    file = database_file(uri)
    if file is None:
        return
    prepare_environment()
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(file.name + ".lock")
    if _is_made(file, lock):
        return
    with locked(lock):
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        quiet_store_logs()
        try:
            make_tables(uri, artifact_root(uri))
        except (MlflowException, SQLAlchemyError) as error:
            first_line = str(error).splitlines()[0]
            if "disk is full" in first_line:
                raise DiskFull(str(file.parent), "the tracking store") from error
            raise UserError(f"cannot use {file} as a tracking store: {first_line}") from error
        lock.write_text(json.dumps(_state(file)), encoding="utf-8")


def _is_made(file: Path, lock: Path) -> bool:
    """Whether this release of MLflow has made or migrated the tables, which the lock's content records.

    MLflow takes seconds to be imported and to find that out.
    """
    try:
        return bool(json.loads(lock.read_text(encoding="utf-8")) == _state(file))
    except (OSError, ValueError, sqlite3.Error):
        return False


def _state(file: Path) -> list[str]:
    """The release of MLflow and the revision of the tables. Raises sqlite3.Error if there are none."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        [[revision]] = database.execute("SELECT version_num FROM alembic_version").fetchall()
    return [metadata.version("mlflow"), revision]


def quiet_store_logs() -> None:
    """Suppress MLflow's log of migrations, and the tracebacks of errors that it raises, too."""
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


# One try and a bounded wait: the delivery thread has its own back-off, and MLflow's seven retries would block
# it for four minutes at every outage. MLflow must not print links to standard output, as they break `--json`.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def prepare_environment() -> None:
    """Set defaults for MLflow in this process and its children; the user's settings are kept."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
