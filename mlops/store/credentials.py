"""Logins of tracking stores: parsed once from a URI, kept in memory, given only to the store they are for.

The rest of the code has a store's address without them. MLFLOW_TRACKING_URI is read when a login is needed,
so that a change of it counts; logins in other URIs are remembered until the process ends.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from mlops.redaction import HIDDEN, PLACEHOLDER, is_secret_parameter, keep_secret, redact

_START = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:/{1,2}")
_HOST = re.compile(r"(?:\[[^\]@]*\]|[^\[\]@:/?#]*)(?::\d{0,5})?")
_USER_PARAMETERS = ("user", "username", "uid")
_LOGIN_VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class StoreLogin:
    """What a URI says about who connects. password: None where only a user is given, which may be a token."""

    user: str = field(repr=False)
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store's URI in parts.

    uri: without user, password and secret parameters. full: with them, for a database's driver.
    """

    uri: str
    full: str = field(repr=False)
    login: StoreLogin | None

    @property
    def has_secrets(self) -> bool:
        return self.full != self.uri


_remembered: dict[str, StoreAddress] = {}
_without_login: set[str] = set()


@lru_cache(maxsize=256)
def parse_address(uri: str) -> StoreAddress:
    """Split `uri`. A password may contain @ : / ? and # as they are, although a URL asks for their codes.

    >>> parse_address("http://ann:secret@example.org/mlflow/").uri
    'http://example.org/mlflow'
    >>> parse_address("postgresql://db/mlflow?user=ann&password=secret&sslmode=require").uri
    'postgresql://db/mlflow?sslmode=require'
    """
    uri = uri.strip()
    start = _START.match(uri)
    scheme, rest = (uri[: start.end()], uri[start.end() :]) if start else ("", uri)
    if scheme.lower().startswith("sqlite:"):
        return StoreAddress(uri, uri, None)
    info, rest = _user_info(rest, _is_http(scheme))
    place, question, query = rest.partition("?")
    kept, secrets = _without_secrets(query)
    clean = f"{scheme}{place}{'?' if kept else ''}{kept}".rstrip("/")
    if info is None and kept == query:
        return StoreAddress(clean, clean, None)
    login = None
    if info is not None:
        user, colon, password = info.partition(":")
        login = StoreLogin(unquote(user), unquote(password) if colon else None)
        info = f"{_quoted(user)}:{_quoted(password)}@" if colon else f"{_quoted(user)}@"
    address = StoreAddress(clean, f"{scheme}{info or ''}{place}{question}{query}", login)
    _keep(scheme, login, secrets)
    return address


def store_uri(uri: str) -> str:
    """`uri` without its login, which is remembered for this store.

    >>> store_uri("https://ann:secret@example.org/")
    'https://example.org'
    """
    address = parse_address(uri)
    if address.has_secrets:
        _remembered[address.uri] = address
    else:
        _without_login.add(address.uri)
    return address.uri


def full_uri(uri: str) -> str:
    """`uri` with the login that this process knows for it, for a database's driver or a child's environment.

    Never print, store or raise the result.
    """
    address = _known(parse_address(uri).uri)
    return address.full if address is not None else uri


def environment_with_login(uri: str) -> dict[str, str]:
    """The environment of a child process that works for the store at `uri`, with that store's login only."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": full_uri(uri)}
    if not may_use_environment(uri):
        for name in _LOGIN_VARIABLES:
            environment.pop(name, None)
    return environment


def login_for(url: str) -> StoreLogin | None:
    """The login of the store that a request to `url` is for: the same scheme, host and port, and its path."""
    found = [each for each in _addresses() if each.login is not None and _is_below(url, each.uri)]
    return max(found, key=lambda each: len(each.uri)).login if found else None


def has_login(uri: str) -> bool:
    """Whether this process knows a login for the store: by a URI, or by MLflow's variables."""
    if _known(uri) is not None:
        return True
    return any(os.environ.get(name) for name in _LOGIN_VARIABLES[1:]) and may_use_environment(uri)


def may_use_environment(url: str) -> bool:
    """Whether a request to `url` may carry MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN and the like.

    They belong to the server that MLFLOW_TRACKING_URI names, and must not reach another store. Without such
    a server they are for the only server that this process has. A host that is no store, such as one for
    artifacts, gets them as MLflow sends them.
    """
    owner = parse_address(os.environ.get("MLFLOW_TRACKING_URI", "")).uri
    servers = {each for each in (*_remembered, *_without_login) if _is_http(each)}
    if _is_http(owner):
        return _is_below(url, owner) or not any(_is_below(url, each) for each in servers)
    return len({_origin(each) for each in servers}) < 2


def printable(uri: str) -> str:
    """A URI that is not a valid store's, for an error message.

    >>> printable("ann:secret@example.org"), printable("ftp://ann:s/cret@there/x?password=y")
    ('***@example.org', 'ftp://***@there/x?password=***')
    """
    before, at, after = uri.rpartition("@")
    start = _START.match(before)
    return redact(f"{start[0] if start else ''}{HIDDEN}@{after}" if at else uri)


def how_to_log_in(uri: str) -> str:
    """What to set so that this process knows the login of a store.

    >>> how_to_log_in("https://example.org/mlflow")
    'MLFLOW_TRACKING_URI=https://USER:PASSWORD@example.org/mlflow'
    """
    return f"MLFLOW_TRACKING_URI={uri.replace('://', f'://{PLACEHOLDER}@', 1)}"


def _known(uri: str) -> StoreAddress | None:
    return next((each for each in _addresses() if each.uri == uri and each.has_secrets), None)


def _addresses() -> tuple[StoreAddress, ...]:
    """The store of MLFLOW_TRACKING_URI, then those of other URIs."""
    return (parse_address(os.environ.get("MLFLOW_TRACKING_URI", "")), *tuple(_remembered.values()))


def _user_info(rest: str, server: bool) -> tuple[str | None, str]:
    """What is before the host, None if nothing is, and what follows.

    The last @ ends it, as a password may contain one. A database's URI may also have one in its query.
    """
    place, _, query = rest.partition("?")
    in_password = server or "=" not in query.rpartition("@")[0]
    if "@" in query and (in_password or not _HOST.fullmatch(re.split("[/#]", place.rpartition("@")[2])[0])):
        place = rest
    if "@" not in place:
        return None, rest
    info, _, host = place.rpartition("@")
    return info, host + rest[len(place) :]


def _without_secrets(query: str) -> tuple[str, list[str]]:
    """The query without users and secrets, and the secrets."""
    kept: list[str] = []
    secrets: list[str] = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name.lower() == "odbc_connect":
            text = unquote_plus(value)
            public = _without_odbc_secrets(text, secrets)
            kept.append(part if public == text else f"{name}={quote(public, safe='')}")
        elif is_secret_parameter(name):
            secrets.append(value)
        elif name.lower() not in _USER_PARAMETERS:
            kept.append(part)
    return "&".join(kept), secrets


def _without_odbc_secrets(text: str, secrets: list[str]) -> str:
    kept = []
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if is_secret_parameter(name.strip()):
            secrets.append(value.strip("{}"))
        elif name.strip().lower() not in _USER_PARAMETERS:
            kept.append(part)
    return ";".join(kept)


def _keep(scheme: str, login: StoreLogin | None, secrets: list[str]) -> None:
    if login is not None and login.password is not None:
        keep_secret(login.password, login.user)
    elif login is not None and _is_http(scheme):
        keep_secret(login.user)
    for secret in secrets:
        keep_secret(secret)


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def _is_http(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", url, None


def _is_below(url: str, store: str) -> bool:
    """Whether `url` is in the store at `store`."""
    if not _is_http(store) or _origin(url) != _origin(store):
        return False
    path = urlsplit(store).path.rstrip("/")
    return urlsplit(url).path.rstrip("/") == path or urlsplit(url).path.startswith(f"{path}/")
