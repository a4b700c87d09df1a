"""A way to a server on which, at the n-th write, someone dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from tests.tracking.servers import FaultyWay, serve


@dataclass
class DeadlyWay(FaultyWay):
    """At write `at`, before it is done or with its answer on the way (`answered`), `kill` is called.

    Without `kill` it is the server that is gone: from then on nothing is answered.
    """

    at: int = 0
    answered: bool = False
    kill: Callable[[], None] | None = None
    died: bool = False
    writes: int = 0

    def __post_init__(self) -> None:
        self._one = threading.Lock()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        with self._one:
            self._handle_one(request)

    def _handle_one(self, request: BaseHTTPRequestHandler) -> None:
        if self.died:
            request.close_connection = True
            return
        self.writes += request.command != "GET"
        if request.command == "GET" or self.writes != self.at:
            super().handle(request)
            return
        if self.answered:
            body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
            self._forward(request, body)
        self.died = True
        request.close_connection = True
        if self.kill is not None:
            self.kill()


@contextmanager
def deadly_way(way: DeadlyWay) -> Iterator[DeadlyWay]:
    with serve(way):
        yield way
