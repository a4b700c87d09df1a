"""A real MLflow server that can be killed and started again, and a faulty network in front of one."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from mlops.store.location import absolute_uri
from mlops.store.server import Server, ServerPlan, plan_server, start_server


class MlflowServer:
    """A server on a port that stays the same; down until `up` is called."""

    def __init__(self, folder: Path) -> None:
        self.store = absolute_uri(f"sqlite:///{folder / 'mlflow.db'}")
        self.plan: ServerPlan = plan_server(self.store, "127.0.0.1", 0, folder)
        self._running: Server | None = None

    @property
    def url(self) -> str:
        return self.plan.url

    @property
    def database(self) -> Path:
        return Path(self.store.removeprefix("sqlite:///"))

    def up(self) -> None:
        if self._running is None:
            self._running = start_server(self.plan)

    def down(self) -> None:
        """As a crash takes it: SIGKILL for the server and its workers."""
        if self._running is not None:
            self._running.kill()
            self._running = None


@dataclass
class FaultyWay:
    """A proxy to an MLflow server. refuse_with: a status answered in the server's place.

    lose_first_answers: the server does as asked, and the first answer to each kind of request is lost.
    """

    target: str
    refuse_with: int = 0
    lose_first_answers: bool = False
    lost: list[str] = field(default_factory=list)
    url: str = ""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.refuse_with:
            request.send_response(self.refuse_with)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        status, headers, answer = self._forward(request, body)
        kind = f"{request.command} {'/'.join(urlsplit(request.path).path.split('/')[:6])}"
        if self.lose_first_answers and request.command != "GET" and kind not in self.lost:
            self.lost.append(kind)
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content


@contextmanager
def faulty_way(target: str, *, refuse_with: int = 0, lose_first_answers: bool = False) -> Iterator[FaultyWay]:
    with serve(FaultyWay(target, refuse_with, lose_first_answers)) as way:
        yield way


@contextmanager
def serve(way: FaultyWay) -> Iterator[FaultyWay]:
    """Listen at `way.url` for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            way.handle(self)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    way.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield way
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
