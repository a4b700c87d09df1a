"""The meaning of a store's error for the request that failed."""

from __future__ import annotations

import re
from enum import Enum

from mlops.redaction import redact
from mlops.store.credentials import has_login, how_to_log_in
from mlops.store.identity import me
from mlops.store.location import is_database

_DATABASE_LOGIN_FAILED = (
    "password authentication failed",
    "no password supplied",
    "Access denied for user",
    "Login failed for user",
)


class Meaning(Enum):
    AWAY = "away"  # nothing can be delivered now: wait, then retry
    DENIED = "denied"  # no permission for this run now: skip it, continue with the others
    FAILED = "failed"  # this request failed now: skip it, continue, retry it later
    REFUSED = "refused"  # this request can never succeed: set it aside and report why


_REFUSED_CODES = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
}
_AWAY_CODES = {
    "TEMPORARILY_UNAVAILABLE",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "CUSTOMER_UNAUTHORIZED",
    "UNAUTHENTICATED",
    "ENDPOINT_NOT_FOUND",
}


def meaning_of(error: BaseException) -> Meaning:
    """Classify an error of MLflow's client.

    Status 500 and a plain BAD_REQUEST (which MLflow also returns for database errors) are FAILED.
    """
    code = code_of(error)
    if code in _REFUSED_CODES:
        return Meaning.REFUSED
    if code in _AWAY_CODES:
        return Meaning.AWAY
    if code == "PERMISSION_DENIED":
        return Meaning.DENIED
    return Meaning.AWAY if _never_reached(error) else Meaning.FAILED


def is_missing(error: BaseException) -> bool:
    return code_of(error) == "RESOURCE_DOES_NOT_EXIST"


def code_of(error: BaseException) -> str:
    """MLflow's error code; for file transfers, which have none, derived from the HTTP status."""
    code = str(getattr(error, "error_code", ""))
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return code or {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(status, "")


def in_words(error: BaseException, uri: str) -> str:
    """The error in one line, without secrets."""
    return redact(_in_words(error, uri))


def _in_words(error: BaseException, shown: str) -> str:
    text = redact(" ".join(str(error).split()))
    if "Connection refused" in text:
        return f"{shown} does not answer (connection refused); check that the server is running"
    if "timed out" in text or "timeout exception" in text:
        return f"{shown} does not answer in time"
    if "Name or service not known" in text or "Failed to resolve" in text:
        return f"{shown}: unknown host"
    match = code_of(error)
    if match == "PERMISSION_DENIED":
        return (
            f"{shown}: {me()} lacks the permission; ask the administrator for it, or log in as another user"
        )
    if match in ("CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED"):
        return _login_failed(shown, match)
    if any(words in text for words in _DATABASE_LOGIN_FAILED):
        return _login_failed(shown, text[:200])
    if match == "ENDPOINT_NOT_FOUND":
        return f"{shown} is not an MLflow server, or too old: {text[:200]}"
    return text[:400]


def _login_failed(uri: str, reason: str) -> str:
    if has_login(uri):
        where = (
            "the login in its URI"
            if is_database(uri)
            else "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
        return f"{uri}: login failed ({reason}); check {where}"
    variables = (
        ""
        if is_database(uri)
        else (f", or MLFLOW_TRACKING_URI={uri} with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    )
    return f"{uri}: login failed ({reason}); passwords are not stored, so set {how_to_log_in(uri)}{variables}"


def _never_reached(error: BaseException) -> bool:
    """Whether the request did not reach the server, or a gateway answered instead of it."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RequestException, RetryError, Timeout

    step: BaseException | None = error
    while step is not None:
        if isinstance(step, RetryError):
            return re.search(r"too many (429|502|503|504) error", str(step)) is not None
        if isinstance(step, (NoConnection, Timeout)):
            return True
        if isinstance(step, RequestException) and getattr(step, "response", None) is None:
            return True
        step = step.__cause__ or step.__context__
    return False
