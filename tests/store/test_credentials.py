"""A login is parsed once, sent to its own store only, and is no part of a store's address."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mlops.errors import BadSetting, MlopsError
from mlops.store import credentials
from mlops.store.client import asking, connect
from mlops.store.credentials import environment_with_login, full_uri, parse_address
from mlops.store.identity import me
from mlops.store.location import absolute_uri

_VARIABLES = ("URI", "USERNAME", "PASSWORD", "TOKEN", "AUTH")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in _VARIABLES:
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.delenv("MLOPS_USER", raising=False)
    monkeypatch.setattr(credentials, "_remembered", {})
    monkeypatch.setattr(credentials, "_without_login", set())


@pytest.mark.parametrize(
    ("given", "uri", "user", "password"),
    [
        ("http://ann:pw@h:5000/", "http://h:5000", "ann", "pw"),
        ("http://ann:p%40s%2Fs@h", "http://h", "ann", "p@s/s"),
        ("http://ann:p@s/s:?x#y@h:5000/m", "http://h:5000/m", "ann", "p@s/s:?x#y"),
        ("http://ann:12/34@h", "http://h", "ann", "12/34"),
        ("http://ann:p?x=y@h", "http://h", "ann", "p?x=y"),
        ("https://TOKEN@h/x", "https://h/x", "TOKEN", None),
        ("postgresql://ann:p@ss@h/db", "postgresql://h/db", "ann", "p@ss"),
        ("postgresql+psycopg2://ann:@/db?host=/tmp/x", "postgresql+psycopg2:///db?host=/tmp/x", "ann", ""),
    ],
)
def test_the_address_of_a_store_has_no_login(given: str, uri: str, user: str, password: str | None) -> None:
    address = parse_address(given)
    assert absolute_uri(given) == address.uri == uri
    assert address.login is not None and (address.login.user, address.login.password) == (user, password)
    assert parse_address(uri).uri == uri and not parse_address(uri).has_secrets
    assert given not in repr(address) and (not password or password not in repr(address))


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("postgresql://h/db?user=a&password=x&sslmode=on", "postgresql://h/db?sslmode=on"),
        ("postgresql://h/db?sslpassword=x", "postgresql://h/db"),
        ("mysql+pymysql://h/db?passwd=x", "mysql+pymysql://h/db"),
        (
            "mssql+pyodbc:///?odbc_connect=DATABASE%3Dd%3BUID%3Dann%3BPWD%3Dx",
            "mssql+pyodbc:///?odbc_connect=DATABASE%3Dd",
        ),
    ],
)
def test_a_password_in_a_query_is_no_part_of_the_address(given: str, uri: str) -> None:
    assert absolute_uri(given) == uri
    assert full_uri(uri) == given, "the driver gets all of it"


@pytest.mark.parametrize(
    "given",
    [
        "ftp://ann:s3cr3t@h",
        "ann:s3cr3t@h:5000",
        "http:/ann:s3cr3t@h",
        "http://ann:s3cr3t@",
        "x://h?token=s3cr3t",
    ],
)
def test_a_uri_of_no_store_is_refused_without_its_secret(given: str) -> None:
    with pytest.raises(BadSetting, match="MLFLOW_TRACKING_URI") as caught:
        absolute_uri(given)
    assert "s3cr3t" not in str(caught.value)


def test_a_changed_password_is_the_same_store() -> None:
    assert absolute_uri("http://ann:old@h") == absolute_uri("http://bea:new@h") == "http://h"


def test_a_token_in_the_place_of_a_user_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_USER", "dora")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ghp_0123456789@example.org")
    assert me() == "dora"


class Listener:
    """A server that answers with an error and keeps the header of each login it gets."""

    def __init__(self) -> None:
        self.headers: list[str | None] = []
        kept = self.headers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kept.append(self.headers.get("Authorization"))
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, uri: str) -> str | None:
        """Ask the store at `uri`, and return the login that arrived."""
        self.headers.clear()
        with pytest.raises(MlopsError), asking("asking"):
            connect(uri).get_run("0" * 32)
        assert self.headers
        return self.headers[-1]


@pytest.fixture
def two() -> Iterator[tuple[Listener, Listener]]:
    servers = Listener(), Listener()
    yield servers
    for each in servers:
        each.server.shutdown()
        each.server.server_close()


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def test_a_login_reaches_its_own_store_only(
    two: tuple[Listener, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:p%40ss@{a.place}")
    assert a.asked(f"http://{a.place}") == basic("ann:p@ss")
    assert b.asked(f"http://{b.place}") is None
    assert b.asked(f"http://bea:other@{b.place}") == basic("bea:other")
    assert a.asked(f"http://{a.place}") == basic("ann:p@ss")


def test_stores_of_one_host_have_logins_of_their_own(two: tuple[Listener, Listener]) -> None:
    a, _ = two
    for name in ("x", "y"):
        absolute_uri(f"http://{name}:pw@{a.place}/{name}")
    assert a.asked(f"http://{a.place}/x") == basic("x:pw")
    assert a.asked(f"http://{a.place}/y") == basic("y:pw")


def test_the_variables_are_for_the_store_that_is_named(
    two: tuple[Listener, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{a.place}")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "variable-password")
    assert a.asked(f"http://{a.place}") == basic("ann:variable-password")
    assert b.asked(f"http://{b.place}") is None
    assert "MLFLOW_TRACKING_PASSWORD" not in environment_with_login(f"http://{b.place}")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "variable-token")
    assert a.asked(f"http://{a.place}") == "Bearer variable-token"
    assert b.asked(f"http://{b.place}") is None


def test_the_variables_work_for_the_only_store_without_an_address(
    two: tuple[Listener, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "variable-token")
    assert a.asked(f"http://{a.place}") == "Bearer variable-token"
    assert b.asked(f"http://{b.place}") is None, "there are two now, and nothing says whose it is"


def test_a_login_of_netrc_works(
    two: tuple[Listener, Listener], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password from-netrc\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert two[0].asked(f"http://{two[0].place}") == basic("ann:from-netrc")


def test_the_users_own_plug_in_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "kubernetes")
    connect("http://127.0.0.1:9")
    assert os.environ["MLFLOW_TRACKING_AUTH"] == "kubernetes"


def test_an_error_of_the_client_has_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:s3cr3t@127.0.0.1:9")
    with pytest.raises(MlopsError) as caught, asking("asking"):
        connect().get_run("0" * 32)
    assert "s3cr3t" not in str(caught.value) + repr(caught.value.__cause__)
