"""The login of each request to an MLflow server, as MLflow's plug-in for request authentication.

MLflow gets a store's address without user and password, so neither its errors and logs nor its artifact
addresses contain them. The login is added when a request is sent, and only for the store that it belongs to.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
from requests.auth import AuthBase
from requests.utils import get_netrc_auth

from mlops.store.credentials import StoreLogin, login_for, may_use_environment
from mlops.store.mlflow_internals import add_request_auth

if TYPE_CHECKING:
    from requests import PreparedRequest

NAME = "vision-mlops"
VARIABLE = "MLFLOW_TRACKING_AUTH"
_HEADER = "Authorization"


class RequestLogin(AuthBase):
    """Adds the login of the request's store, see `mlops.store.credentials`.

    The login of a URI comes first, then that of `~/.netrc`, then MLflow's variables. MLflow has put those
    into the request already; they are taken out of a request to a store that they are not for.
    """

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        url = request.url or ""
        if not may_use_environment(url):
            request.headers.pop(_HEADER, None)
        login = login_for(url) or _from_netrc(url)
        if login is None or (login.password is None and _HEADER in request.headers):
            return request
        text = f"{login.user}:{login.password or ''}"
        request.headers[_HEADER] = f"Basic {base64.b64encode(text.encode()).decode()}"
        return request


class RequestLoginProvider(RequestAuthProvider):
    def get_name(self) -> str:
        return NAME

    def get_auth(self) -> RequestLogin:
        return RequestLogin()


def add_logins() -> None:
    """Let MLflow ask for the login of each request, unless the user has chosen another plug-in for it."""
    if os.environ.setdefault(VARIABLE, NAME) == NAME:
        add_request_auth(RequestLoginProvider)


def _from_netrc(url: str) -> StoreLogin | None:
    """The login that requests would take from `~/.netrc` if no plug-in were asked."""
    found = get_netrc_auth(url)
    return StoreLogin(found[0], found[1]) if found else None
