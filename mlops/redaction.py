"""Remove secrets from texts that are printed, stored or raised.

Code that parses a secret registers it with `keep_secret`. Secrets in the environment are found by the names
of their variables. URLs are recognised by their form, so those that nothing has registered are cleaned, too.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from typing import TextIO

HIDDEN = "***"
PLACEHOLDER = "USER:PASSWORD"  # in our own hints

# a shorter secret is removed from URLs only: as a word of its own, it would also be a word of a message
_LEAST_LENGTH = 6
_LEAST_LENGTH_OF_NO_WORD = 16
_ANYWHERE_FROM = 10  # characters; a shorter secret counts only where no letter or digit is next to it

_SECRET_WORDS = (
    r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|secret[_-]?key"
)
_SECRET_NAME = re.compile(rf"(?i)(?:^|[^a-z0-9])(?:{_SECRET_WORDS})$|(?:password|passwd|passphrase|secret)$")
_SECRET_PARAMETER = re.compile(
    rf"(?i)(?:{_SECRET_WORDS}|signature|credentials?|awsaccesskeyid|odbc_connect)$"
    r"|^(?:sig|key|auth|authorization|code|pass|pw|jwt|sas)$"
)
_SCHEMES_OF_TOKENS = ("http", "git+http")
_WORKING_DIRECTORIES = ("PWD", "OLDPWD")

_SCHEME = r"(?<![A-Za-z0-9+.\-])(?!(?:models|runs):)([A-Za-z][A-Za-z0-9+.\-]+:)"
# a user and a password, which may contain @ / ? and # but is not a port; else what stands before @
_USER_INFO = re.compile(
    rf"{_SCHEME}(/{{1,2}})(?!/)(?:([^\s/?#\[\]@:\"'<>]*:(?!\d{{1,5}}(?:[/?#\s]|$))[^\s\"'<>]*)|([^\s/?#\"'<>]+))@"
)
_PARAMETER = re.compile(r"([?&;#]|%3[BbFf]|%26|\\u0026)([\w.\-]{1,60})(=|%3[Dd])([^&;#\s\"'<>\\]*)")
_SETTING = re.compile(
    r"(?i)\b([\w\-]*(?:password|passwd|secret_access_key|session_token|api_key)|pwd)=('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)"
)
_HEADER = re.compile(
    r"(?i)(\bauthorization\b[\\'\"]*\s*[:=]\s*(?:b(?=['\"]))?[\\'\"]*)((?:basic|bearer|token|digest)\s+)?[^\s,'\"\\}]+"
)

_lock = threading.Lock()
_kept: frozenset[str] = frozenset()


def keep_secret(secret: str, user: str = "") -> None:
    """Remove `secret` from every text that `redact` gets from now on, in each of its usual spellings.

    user: the login's name, so that the header of HTTP Basic authentication is recognised, too.

    >>> keep_secret("p@ss/word-1", "ann")
    >>> redact("ann:p%40ss%2Fword-1, or YW5uOnBAc3Mvd29yZC0x")
    'ann:***, or ***'
    """
    global _kept
    found = {secret, unquote(secret)}
    if user:
        found |= {_base64(f"{user}:{each}") for each in found}
    with _lock:
        _kept |= {each for each in found if len(each) >= _LEAST_LENGTH}


def keep_url_secrets(text: str) -> None:
    """`keep_secret` for the secrets of each URL in `text`, of which code may print a part alone."""
    for secret in url_secrets(text):
        keep_secret(secret)


def redact(text: str) -> str:
    """`text` without the secrets that this process knows, and without those that URLs in it contain.

    >>> redact("GET https://ann:pw@example.org/a?page=2&X-Amz-Signature=0a1b failed")
    'GET https://***@example.org/a?page=2&X-Amz-Signature=*** failed'
    >>> redact("models:/cells@production")
    'models:/cells@production'
    """
    return _without(text, _kept | _environment_secrets())


def redact_recorded(text: str) -> str:
    """As `redact`, for data that is read again, such as a tag or a result.

    A password that is a plain word is removed from URLs only: it may be the name of a system or a class, too.

    >>> keep_secret("zeppelin")
    >>> redact("zeppelin-detector"), redact_recorded("zeppelin-detector at http://ann:zeppelin@host")
    ('***-detector', 'zeppelin-detector at http://***@host')
    """
    return _without(text, frozenset(s for s in _kept | _environment_secrets() if not _is_word(s)))


def _is_word(secret: str) -> bool:
    return secret.isalpha() and len(secret) < _LEAST_LENGTH_OF_NO_WORD


def _without(text: str, secrets: frozenset[str]) -> str:
    known = _pattern(secrets)
    if known is not None:
        text = known.sub(HIDDEN, text)
    if "@" in text:
        text = _USER_INFO.sub(_without_user_info, text)
    if "=" in text or "%3" in text:
        text = _SETTING.sub(rf"\1={HIDDEN}", _PARAMETER.sub(_without_value, text))
    if "uthorization" in text.lower():
        text = _HEADER.sub(lambda found: f"{found[1]}{found[2] or ''}{HIDDEN}", text)
    return text


def redact_values(value: Any) -> Any:
    """`value` with each text in it as `redact_recorded` returns it; names in a mapping are kept.

    >>> redact_values({"data": ["s3://key:secret@bucket"], "seed": 1})
    {'data': ['s3://***@bucket'], 'seed': 1}
    """
    if isinstance(value, str):
        return redact_recorded(value)
    if isinstance(value, dict):
        return {name: redact_values(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_values(each) for each in value]
    return value


def is_secret_parameter(name: str) -> bool:
    """Whether the parameter of a URL's query is a secret, by its name.

    >>> [is_secret_parameter(name) for name in ("sslpassword", "X-Amz-Signature", "sslmode")]
    [True, True, False]
    """
    return _SECRET_PARAMETER.search(unquote(name)) is not None


def redact_output() -> None:
    """Redact what this process prints, whichever library prints it, for a program's main function."""
    for name, redacted in (("stdout", redact_recorded), ("stderr", redact)):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, RedactedStream):
            setattr(sys, name, RedactedStream(stream, redacted))


class RedactedStream:
    """A text stream whose written texts are redacted; otherwise as the stream that it wraps."""

    def __init__(self, stream: TextIO, redacted: Callable[[str], str]) -> None:
        self._stream, self._redacted = stream, redacted

    def write(self, text: str) -> int:
        self._stream.write(self._redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


def _without_user_info(found: re.Match[str]) -> str:
    given = found[3] or found[4]
    return f"{found[1]}{found[2]}{PLACEHOLDER if given == PLACEHOLDER else HIDDEN}@"


def _without_value(found: re.Match[str]) -> str:
    value = HIDDEN if found[4] and is_secret_parameter(found[2]) else found[4]
    return f"{found[1]}{found[2]}{found[3]}{value}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _spellings(secret: str) -> set[str]:
    """The secret as texts, JSON, HTML, URLs and file names show it."""
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lower = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in quoted}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    shown = {html.escape(secret), re.sub(r"[^\w.\-]", "_", secret), _base64(secret)}
    return {secret, *quoted, *lower, *escaped, *shown}


@lru_cache(maxsize=32)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    spelled = {each for secret in secrets for each in _spellings(secret)}
    if not spelled:
        return None
    longest_first = sorted(spelled, key=lambda each: (-len(each), each))
    return re.compile("|".join(map(_alone, longest_first)))


def _alone(secret: str) -> str:
    if len(secret) >= _ANYWHERE_FROM:
        return re.escape(secret)
    return rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"


def _environment_secrets() -> frozenset[str]:
    """Values of variables with a secret's name, and the passwords of URLs in others."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if len(value) >= _LEAST_LENGTH and (_names_a_secret(name) or "://" in value):
            found |= _secrets_of(name, value)
    return frozenset(found)


@lru_cache(maxsize=4096)
def _names_a_secret(variable: str) -> bool:
    return variable not in _WORKING_DIRECTORIES and _SECRET_NAME.search(variable) is not None


@lru_cache(maxsize=256)
def _secrets_of(name: str, value: str) -> frozenset[str]:
    if _names_a_secret(name):
        found = {value, value.strip()}
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        if name == "MLFLOW_TRACKING_PASSWORD" and user:
            found.add(_base64(f"{user}:{value}"))
    else:
        found = set(url_secrets(value))
    return frozenset(each for each in found if len(each) >= _LEAST_LENGTH)


def url_secrets(text: str) -> frozenset[str]:
    """The secrets of the URLs in a text, as written and decoded. A user without a password may be a token.

    >>> sorted(url_secrets("https://ann:p%40ss@example.org?sig=0a1b https://token@example.org"))
    ['0a1b', 'p%40ss', 'p@ss', 'token']
    """
    found = set()
    for url in _USER_INFO.finditer(text):
        given = url[3] or url[4]
        user, colon, password = given.partition(":")
        if given != PLACEHOLDER and (colon or url[1].lower().startswith(_SCHEMES_OF_TOKENS)):
            found.add(password if colon else user)
    found |= {each[4] for each in _PARAMETER.finditer(text) if is_secret_parameter(each[2])}
    return frozenset(each for secret in found for each in (secret, unquote(secret)) if each)
