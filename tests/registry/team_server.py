"""An MLflow server with log-in: each person has a password and rights of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops.store.location import absolute_uri, ensure_store, prepare_environment
from mlops.store.server import answers, plan_server

PASSWORD = "correct horse battery"
_CONFIG = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/users.db
admin_username = admin
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 3600
"""


@dataclass(frozen=True)
class Team:
    """url: of the server, on which everyone may read and nobody else's things may be changed."""

    url: str

    def log_in(self, patch: pytest.MonkeyPatch, name: str, password: str = PASSWORD) -> None:
        """Be `name` from here on, as a shell with these variables set."""
        patch.setenv("MLFLOW_TRACKING_URI", self.url)
        patch.setenv("MLFLOW_TRACKING_USERNAME", name)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", password)

    def add(self, *names: str) -> None:
        """Make users. Be logged in as admin."""
        from mlflow.server.auth.client import AuthServiceClient

        for name in names:
            AuthServiceClient(self.url).create_user(name, PASSWORD)

    def grant(self, name: str, kind: str, what: str, right: str = "EDIT") -> None:
        """Give `name` a right to a `registered_model` (its name) or an `experiment` (its id). Be admin."""
        from mlflow.server.auth.client import AuthServiceClient

        AuthServiceClient(self.url).grant_user_permission(name, kind, what, right)


@contextmanager
def team_server(folder: Path) -> Iterator[Team]:
    prepare_environment()
    plan = plan_server(absolute_uri(f"sqlite:///{folder / 'mlflow.db'}"), "127.0.0.1", 0, folder)
    ensure_store(plan.store)
    config = folder / "auth.ini"
    config.write_text(_CONFIG.format(folder=folder, password=PASSWORD))
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--host", plan.host, "--port", str(plan.port), "--backend-store-uri", plan.store]
    command += ["--serve-artifacts", "--artifacts-destination", plan.artifacts]
    secret = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for a test"}
    process = subprocess.Popen(
        command,
        env={**os.environ, **secret},
        stdout=plan.log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 240
        while not answers(plan.url):
            assert process.poll() is None and time.monotonic() < deadline, plan.log.read_text()
            time.sleep(0.3)
        yield Team(plan.url)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
