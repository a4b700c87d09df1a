"""Weights by name, path or none: what is found, and how soon a machine without a network says so."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from pathlib import Path

import pytest

from mlops.errors import MissingWeights
from mlops.training.weights import file_digest, find_weights, require_server, wants_none


def test_none_means_no_file() -> None:
    assert wants_none("none")
    assert find_weights("none") is None


def test_a_file_of_weights_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.write_bytes(b"x")
    assert file_digest(str(file)) == hashlib.sha256(b"x").hexdigest()
    assert file_digest("none") == file_digest("yolo26m.pt") == ""


def test_a_path_is_taken_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.write_bytes(b"x")
    assert find_weights(str(file)) == file


def test_a_path_that_is_not_there_says_which_flag_helps(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="--set weights=PATH"):
        find_weights(str(tmp_path / "lost.pt"))


def test_a_name_is_found_in_a_store_and_is_otherwise_left_to_the_library(tmp_path: Path) -> None:
    assert find_weights("yolo26n.pt", [tmp_path]) is None
    (tmp_path / "yolo26n.pt").write_bytes(b"x")
    assert find_weights("yolo26n.pt", [tmp_path]) == tmp_path / "yolo26n.pt"


def test_a_server_that_refuses_the_question_still_counts_as_there() -> None:
    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def log_message(self, *args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        require_server("yolo26n.pt", f"http://127.0.0.1:{server.server_port}/yolo26n.pt", within_s=5)
        server.shutdown()


def test_a_closed_port_fails_at_once_and_names_both_flags() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(MissingWeights, match=r"yolo26n\.pt.*--set weights=PATH.*--set weights=none"):
        require_server("yolo26n.pt", f"http://127.0.0.1:{port}/yolo26n.pt")
    assert time.monotonic() - started < 5


def test_a_server_that_never_answers_fails_within_the_time_given() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(MissingWeights, match="does not answer"):
            require_server("imagenet", f"http://127.0.0.1:{silent.getsockname()[1]}/", within_s=1)
        assert time.monotonic() - started < 3
