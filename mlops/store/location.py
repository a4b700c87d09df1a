"""Which store is used: an MLflow server, or a database file that is opened directly."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mlops.errors import BadSetting, DiskFull, UserError
from mlops.files.locks import locked
from mlops.store.mlflow_internals import make_tables

DEFAULT_URI = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def tracking_uri() -> str:
    """The store in use: MLFLOW_TRACKING_URI, or `mlflow.db` in the working directory."""
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)


def absolute_uri(uri: str, given_by: str = "MLFLOW_TRACKING_URI") -> str:
    """`uri` in the one way it is written in the outbox. Raises BadSetting for a store that cannot be used.

    >>> absolute_uri("http://127.0.0.1:5000/")
    'http://127.0.0.1:5000'
    """
    uri = uri or DEFAULT_URI
    if uri.startswith(_SQLITE):
        return _SQLITE + str(Path(uri.removeprefix(_SQLITE)).expanduser().absolute())
    try:
        scheme = urlsplit(uri).scheme.split("+")[0]
    except ValueError:  # as of http://[half an address
        scheme = ""
    if scheme in ("http", "https") or scheme in _DATABASES[1:] or uri.startswith("databricks"):
        return uri.rstrip("/")
    raise BadSetting(
        "the tracking URI",
        given_by,
        without_password(uri),
        "http(s)://..., sqlite:///FILE, postgresql://...",
    )


def is_database(uri: str) -> bool:
    """Whether `uri` names a database that this process writes itself, with no server between."""
    return urlsplit(uri).scheme.split("+")[0] in _DATABASES


def database_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def artifact_root(uri: str) -> Path:
    """The folder of artifacts that belongs to a store used directly: `mlartifacts` beside its file.

    It is what `mlops server` serves, so a run made without a server shows its files once there is one.
    """
    file = database_file(uri)
    return (file.parent if file else Path.cwd()) / "mlartifacts"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Where a new experiment's files go, as an absolute file URI; None leaves it to the server."""
    if not is_database(uri):
        return None
    from mlops.store.names import folder_name

    return (artifact_root(uri) / folder_name(experiment)).as_uri()


def ensure_store(uri: str) -> None:
    """Make the tables of a SQLite store once, before anything uses it in parallel; nothing for a server.

    MLflow makes them without a lock, and processes that start together on a new file fail.
    Raises DiskFull, or UserError where the file cannot be a store.
    """
    uri = absolute_uri(uri)
    file = database_file(uri)
    if file is None:
        return
    prepare_environment()
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.with_name(file.name + ".lock")):
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        quiet_store_logs()
        try:
            make_tables(uri, artifact_root(uri))
        except (MlflowException, SQLAlchemyError) as error:
            first_line = str(error).splitlines()[0]
            if "disk is full" in first_line:
                raise DiskFull(str(file.parent), "the tracking store") from error
            raise UserError(f"{file} cannot be used as a tracking store: {first_line}") from error


def quiet_store_logs() -> None:
    """Keep MLflow from printing each migration, and a traceback beside each error that it raises."""
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def without_password(uri: str) -> str:
    """`uri` as it may be printed.

    >>> without_password("https://ann:secret@example.org/mlflow")
    'https://ann:***@example.org/mlflow'
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # no address at all: what stands before an @ may be a password all the same
        return uri.rpartition("@")[2]
    if parts.password is None:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))


# One try and a bounded wait: the delivery thread does its own back-off, and MLflow's seven retries would hold
# it for four minutes at every outage. Standard output is the command's own: MLflow's links would spoil
# `--json`.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def prepare_environment() -> None:
    """Set our defaults for MLflow in this process and its children; what the user set stays."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
