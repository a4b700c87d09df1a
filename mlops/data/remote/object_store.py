"""An S3-compatible store: list objects, and stream one from an offset."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from mlops.errors import DataFault
from mlops.redaction import is_secret_parameter, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S = 3
FIRST_ANSWER_TIMEOUT_S = 4  # with one retry, an unreachable endpoint is reported within ten seconds
READ_TIMEOUT_S = 60
DELIMITER = "/"


@dataclass(frozen=True, slots=True)
class Location:
    """`s3://bucket/prefix`. prefix: without leading and trailing slashes; "" is the whole bucket."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """name: its path below the prefix, or its last part if the prefix is the object itself."""

    key: str
    name: str
    size_bytes: int
    etag: str


def parse_location(url: str) -> Location:
    """Raises DataFault for anything but `s3://bucket[/prefix]`, which has no login."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise DataFault(f"{url} is not an S3 address; expected s3://bucket/prefix")
    if "@" in parts.netloc or any(is_secret_parameter(name) for name, _ in parse_qsl(parts.query)):
        raise DataFault(
            f"{redact(url)} contains a secret; give s3://bucket/prefix, "
            "and the key by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    prefix = url.split("://", 1)[1].partition("/")[2]
    return Location(parts.netloc, prefix.strip(DELIMITER))


def endpoint() -> str | None:
    """The endpoint in the environment; None: Amazon's, or that of the AWS profile."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"):
        if os.environ.get(name):
            return os.environ[name]
    return None


def without_user(endpoint: str) -> str:
    """An endpoint's URL without user and password.

    >>> without_user("http://key:secret@127.0.0.1:9000")
    'http://127.0.0.1:9000'
    """
    scheme, separator, rest = endpoint.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


class Interrupted(DataFault):
    """The store did not answer, or stopped in the middle of an object."""


class Store:
    """One bucket's objects through boto3; errors are reported in one line each."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.endpoint = endpoint()
        with self._told():
            self._client = _client(self.endpoint, READ_TIMEOUT_S, attempts=4)
            self._first = _client(self.endpoint, FIRST_ANSWER_TIMEOUT_S, attempts=2)

    def objects(self) -> list[RemoteObject]:
        """The object at the prefix, or every object below it, by key; folder markers are omitted.

        Raises DataFault: no credentials, no such bucket, no answer within ten seconds, no objects.
        """
        with self._told():
            self._first.list_objects_v2(Bucket=self.location.bucket, Prefix=self.location.prefix, MaxKeys=1)
            found = list(self._listed())
        if not found:
            raise DataFault(f"{self.location.url}: no objects found; check the spelling of the prefix")
        alone = [thing for thing in found if thing.key == self.location.prefix]
        return alone or found

    def _listed(self) -> Iterator[RemoteObject]:
        prefix = self.location.prefix
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.location.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key == prefix:
                    name = key.rpartition(DELIMITER)[2]
                elif not prefix or key.startswith(prefix + DELIMITER):
                    name = key[len(prefix) :].lstrip(DELIMITER)
                else:
                    continue  # `rail` also lists `railway/...`
                if name and not name.endswith(DELIMITER):
                    yield RemoteObject(key, _safe(name, key), entry["Size"], entry["ETag"].strip('"'))

    @contextmanager
    def stream(self, thing: RemoteObject, offset: int, chunk_bytes: int) -> Iterator[Iterator[bytes]]:
        """The object's bytes from `offset` on.

        Raises Interrupted if the connection breaks, DataFault if the object changed after it was listed.
        """
        with self._told():
            bucket, get = self.location.bucket, self._client.get_object
            # without a range boto3 also checks the store's checksum
            answer = (
                get(Bucket=bucket, Key=thing.key, Range=f"bytes={offset}-")
                if offset
                else get(Bucket=bucket, Key=thing.key)
            )
            with closing(answer["Body"]) as body:
                if answer["ETag"].strip('"') != thing.etag:
                    raise DataFault(
                        f"s3://{self.location.bucket}/{thing.key} changed during the download; run again"
                    )
                yield body.iter_chunks(chunk_bytes)

    @contextmanager
    def _told(self) -> Iterator[None]:
        from botocore import exceptions as boto

        where = without_user(self.endpoint or "Amazon S3")
        try:
            yield
        except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
            raise DataFault(
                f"{self.location.url}: no credentials for {where}; "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from error
        except boto.ClientError as error:
            raise DataFault(self._refusal(error.response["Error"].get("Code", ""), where)) from error
        except boto.ParamValidationError as error:
            raise DataFault(
                f"{self.location.url}: {self.location.bucket!r} is not a valid bucket name"
            ) from error
        except boto.BotoCoreError as error:
            raise Interrupted(
                f"{self.location.url}: {where} does not answer ({type(error).__name__}); check the network "
                "and AWS_ENDPOINT_URL_S3, then run again (files fetched before are kept)"
            ) from error

    def _refusal(self, code: str, where: str) -> str:
        bucket, url = self.location.bucket, self.location.url
        if code == "NoSuchBucket":
            return f"{url}: no bucket {bucket!r} at {where}"
        if code in ("AccessDenied", "403", "AllAccessDisabled"):
            return f"{url}: {where} denied access; the key needs s3:ListBucket and s3:GetObject on {bucket!r}"
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
            return f"{url}: {where} rejected the credentials ({code}); check AWS_ACCESS_KEY_ID and its secret"
        return f"{url}: {where} rejected the request ({code or 'no code'})"


def _client(address: str | None, read_timeout_s: float, attempts: int) -> Any:
    import boto3  # it creates client classes at run time, so there are no types to annotate with
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=32,
        # stores other than Amazon's rarely have a host name for each bucket
        s3={"addressing_style": "path"} if address else {},
    )
    # a separate session: the default one is shared between threads and creating it is not thread-safe
    try:
        return boto3.session.Session().client("s3", endpoint_url=address, config=config)
    except ValueError as error:
        raise DataFault(f"AWS_ENDPOINT_URL_S3 is {address!r}; expected http://host:port") from error


def _safe(name: str, key: str) -> str:
    """`name`. Raises DataFault if it would be written outside the cache's folder."""
    if name.startswith(DELIMITER) or any(part in ("", ".", "..") for part in name.split(DELIMITER)):
        raise DataFault(f"the object key {key!r} is not a valid relative path; rename the object")
    return name
