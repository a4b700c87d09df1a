"""Data in a real S3 server: fetched once, checked every time, and told plainly when it cannot be had."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.data.remote.fetch import fetch
from mlops.data.remote.object_store import Store, parse_location
from mlops.errors import DataFault
from tests.s3 import S3Server, s3_server

BUCKET = "pictures"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "weed") as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials and no endpoint but those that a test sets."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3",
                 "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def prefix(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """A prefix of the test's own, with a small folder below it, and the environment to reach it."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    source = tmp_path / "source"
    for name in ("data.yaml", "images/train/a b.png", "images/train/c.png", "labels/train/a b.txt"):
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode() * 1000)
    (source / "empty.txt").touch()
    own = request.node.name
    server.upload(source, BUCKET, own)
    return own


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def test_a_prefix_comes_as_the_folder_that_it_is(prefix: str, tmp_path: Path) -> None:
    folder = fetch(f"s3://{BUCKET}/{prefix}", tmp_path / "cache")
    assert contents(folder) == contents(tmp_path / "source")


def test_a_single_object_comes_as_a_file(prefix: str, tmp_path: Path) -> None:
    file = fetch(f"s3://{BUCKET}/{prefix}/data.yaml", tmp_path / "cache")
    assert (file.name, file.read_bytes()) == ("data.yaml", (tmp_path / "source" / "data.yaml").read_bytes())


def test_another_prefix_that_begins_alike_is_left_out(prefix: str, server: S3Server, tmp_path: Path) -> None:
    server.client().put_object(Bucket=BUCKET, Key=f"{prefix}-more/x.txt", Body=b"x")
    folder = fetch(f"s3://{BUCKET}/{prefix}/", tmp_path / "cache")
    assert contents(folder) == contents(tmp_path / "source")


def test_what_is_here_already_is_not_fetched_again(prefix: str, tmp_path: Path) -> None:
    url, cache = f"s3://{BUCKET}/{prefix}", tmp_path / "cache"
    folder = fetch(url, cache)
    before = {path: path.stat().st_ino for path in folder.rglob("*.png")}
    fetch(url, cache)
    assert {path: path.stat().st_ino for path in folder.rglob("*.png")} == before


def test_what_changed_in_the_store_is_fetched_again(prefix: str, server: S3Server, tmp_path: Path) -> None:
    url, cache = f"s3://{BUCKET}/{prefix}", tmp_path / "cache"
    fetch(url, cache)
    server.client().put_object(Bucket=BUCKET, Key=f"{prefix}/data.yaml", Body=b"new")
    server.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/images/train/c.png")
    folder = fetch(url, cache)
    assert (folder / "data.yaml").read_bytes() == b"new"
    assert not (folder / "images/train/c.png").exists()


def test_a_damaged_file_in_the_cache_is_noticed_and_fetched_again(prefix: str, tmp_path: Path) -> None:
    url, cache = f"s3://{BUCKET}/{prefix}", tmp_path / "cache"
    folder = fetch(url, cache)
    good = (folder / "data.yaml").read_bytes()
    (folder / "data.yaml").write_bytes(good[:-1] + b"?")
    (folder / "images/train/c.png").unlink()
    (folder / "stray.txt").write_text("put here by someone")
    assert contents(fetch(url, cache)) == contents(tmp_path / "source")


def test_an_interrupted_download_goes_on_where_it_ended(
    prefix: str, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = bytes(range(256)) * 16384  # 4 MiB
    server.client().put_object(Bucket=BUCKET, Key=f"{prefix}/big.bin", Body=big)
    with cut_after(server, 2_000_000) as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        file = fetch(f"s3://{BUCKET}/{prefix}/big.bin", tmp_path / "cache")
    assert file.read_bytes() == big
    starts = [int(each.split("=")[1].split("-")[0]) for each in asked]
    assert starts
    assert all(0 < start <= len(big) for start in starts)


def test_files_that_came_before_a_kill_are_kept(prefix: str, tmp_path: Path) -> None:
    url, cache = f"s3://{BUCKET}/{prefix}", tmp_path / "cache"
    folder = fetch(url, cache)
    manifest = folder.parent / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + '\n{"key": "torn')
    (folder / "data.yaml").unlink()
    kept = (folder / "images/train/c.png").stat().st_ino
    assert contents(fetch(url, cache)) == contents(tmp_path / "source")
    assert (folder / "images/train/c.png").stat().st_ino == kept


def test_damage_in_what_an_interruption_left_is_not_built_upon(prefix: str, tmp_path: Path) -> None:
    url, cache = f"s3://{BUCKET}/{prefix}/data.yaml", tmp_path / "cache"
    good = fetch(url, cache)
    content, home = good.read_bytes(), good.parents[1]
    etag = Store(parse_location(url)).objects()[0].etag
    part = hashlib.sha256(f"{prefix}/data.yaml\n{etag}".encode()).hexdigest()
    good.unlink()
    (home / "parts" / part).write_bytes(b"\0" * 100)
    assert fetch(url, cache).read_bytes() == content


def test_the_endpoint_that_mlflow_is_told_serves_data_too(
    prefix: str, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", server.endpoint)
    assert contents(fetch(f"s3://{BUCKET}/{prefix}", tmp_path / "cache")) == contents(tmp_path / "source")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://pictures/nothing-here", "no objects found"),
        ("s3://no-such-bucket/x", "no bucket 'no-such-bucket'"),
        ("s3://", "not an S3 address"),
        ("s3://Not_A_Bucket!/x", "not a valid bucket name"),
    ],
)
def test_a_wrong_address_is_told_in_one_line(prefix: str, tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(DataFault, match=says) as fault:
        fetch(url, tmp_path / "cache")
    assert "\n" not in str(fault.value)
    assert fault.value.exit_code == 2


def test_missing_credentials_are_named(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    with pytest.raises(DataFault, match="AWS_ACCESS_KEY_ID"):
        fetch(f"s3://{BUCKET}/x", tmp_path / "cache")


def test_wrong_credentials_are_named(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(DataFault, match="credentials"):
        fetch(f"s3://{BUCKET}/{prefix}", tmp_path / "cache")


def test_an_endpoint_that_refuses_or_never_answers_is_told_within_ten_seconds(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for listening in (False, True):
            if listening:
                silent.listen()
            begun = time.monotonic()
            with pytest.raises(DataFault, match="does not answer"):
                fetch(f"s3://{BUCKET}/{prefix}", tmp_path / "cache")
            assert time.monotonic() - begun < 12


class cut_after:  # noqa: N801 (reads as the phrase it is)
    """A proxy before the S3 server that breaks the first answers to a GET after so many bytes.

    Gives its address, and the list of the `Range` headers that it was asked with.
    """

    def __init__(self, server: S3Server, cut_bytes: int, breaks: int = 2) -> None:
        self._server, self._cut, self._breaks = server, cut_bytes, breaks

    def __enter__(self) -> tuple[str, list[str]]:
        asked: list[str] = []
        outer = self

        class Proxy(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {k: v for k, v in self.headers.items() if k.lower() != "accept-encoding"}
                request = urllib.request.Request(outer._server.endpoint + self.path, headers=headers)
                with urllib.request.urlopen(request) as answer:
                    body = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ("transfer-encoding", "connection"):
                            self.send_header(name, value)
                    self.end_headers()
                if "Range" in self.headers:
                    asked.append(self.headers["Range"])
                if len(body) > outer._cut and outer._breaks:
                    outer._breaks -= 1
                    self.wfile.write(body[: outer._cut])
                    self.close_connection = True
                else:
                    self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._proxy.server_port}", asked

    def __exit__(self, *error: object) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
