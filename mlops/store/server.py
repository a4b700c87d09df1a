"""An MLflow server on this machine, for the store and files that runs without a server use."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mlops.errors import BadSetting, ServerUnavailable
from mlops.files.private import private_file, private_home
from mlops.redaction import redact
from mlops.store.client import keep_interruptible
from mlops.store.credentials import full_uri
from mlops.store.location import artifact_root, ensure_store, is_database, prepare_environment

START_TIMEOUT_S = 240.0  # a busy machine takes a minute
# Its jobs are only for language models. They would start eight more processes, each of which imports MLflow
# while the first requests wait.
_SWITCHED_OFF = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """Where the server listens and what it serves.

    store: a database URI, without its login. artifacts: the folder (or bucket URI) of uploaded files.
    log: the file of the server's output.
    """

    host: str
    port: int
    store: str
    artifacts: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Server:
    """A running server. Stop it with `stop`."""

    def __init__(self, plan: ServerPlan, process: subprocess.Popen[bytes]) -> None:
        self.plan, self._process = plan, process

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> int:
        """Wait until the server exits; returns its exit code."""
        code = self._process.wait()
        _redact_log(self.plan.log)
        return code

    def stop(self) -> None:
        """Stop the server and its workers, and remove secrets from its log."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        _redact_log(self.plan.log)

    def kill(self) -> None:
        """Kill the server and its workers, like a crash."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def plan_server(store: str, host: str, port: int, home: Path) -> ServerPlan:
    """Choose where the server listens (port 0: any free port).

    Raises BadSetting for an unusable store, host or port.
    """
    if not is_database(store):
        raise BadSetting("mlops server", "store", store, "a database: sqlite:///FILE or postgresql://...")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                allowed = f"an address of this machine ({error.strerror})"
                raise BadSetting("mlops server", "--host", host, allowed) from error
            raise BadSetting(
                "mlops server", "--port", port, f"a free port on {host} ({error.strerror}); 0: any free port"
            ) from error
        port = int(probe.getsockname()[1])
    return ServerPlan(host, port, store, str(artifact_root(store)), home / "server.log")


def start_server(plan: ServerPlan) -> Server:
    """Start `mlflow server` and return once it answers.

    Raises ServerUnavailable with the last line of the log if the server exits or does not answer in time.
    """
    prepare_environment()
    ensure_store(plan.store)
    private_home(plan.log.parent)
    private_file(plan.log)
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", plan.host, "--port", str(plan.port)]
    command += ["--serve-artifacts", "--artifacts-destination", plan.artifacts]
    with plan.log.open("ab") as log:
        process = subprocess.Popen(
            [*command, "--workers", "2"],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=plan.log.parent,  # uvicorn imports from its working directory first, whatever lies there
            env=_environment(plan),
        )
    server = Server(plan, process)
    try:
        _wait_until_it_answers(plan, process)
    except BaseException:
        server.stop()
        raise
    keep_interruptible()
    return server


def _environment(plan: ServerPlan) -> dict[str, str]:
    """The server's environment. It has the store's URI, as every user of this machine sees a command line."""
    given = {**_SWITCHED_OFF, **os.environ, "MLFLOW_BACKEND_STORE_URI": full_uri(plan.store)}
    given.pop("MLFLOW_TRACKING_AUTH", None)  # of clients
    return given


def answers(url: str, timeout_s: float = 3.0) -> bool:
    """Whether an MLflow server answers at `url`."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _wait_until_it_answers(plan: ServerPlan, process: subprocess.Popen[bytes]) -> None:
    began = time.monotonic()
    while time.monotonic() - began < START_TIMEOUT_S:
        if process.poll() is not None:
            _redact_log(plan.log)
            raise ServerUnavailable(
                f"the MLflow server exited at start: {_last_line(plan.log)} (see {plan.log})"
            )
        if answers(plan.url):
            return
        time.sleep(0.5)
    raise ServerUnavailable(
        f"the MLflow server did not answer within {START_TIMEOUT_S:.0f} s (see {plan.log})"
    )


def _redact_log(log: Path) -> None:
    """Remove secrets from the log of a server that has ended."""
    text = log.read_text(encoding="utf-8", errors="surrogateescape")
    public = redact(text)
    if public != text:
        log.write_text(public, encoding="utf-8", errors="surrogateescape")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
