"""An S3-compatible store, as much of it as a data set takes: list, and stream from an offset."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlops.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S = 3
FIRST_ANSWER_TIMEOUT_S = 4  # with one retry a dead endpoint is known within ten seconds
READ_TIMEOUT_S = 60
DELIMITER = "/"


@dataclass(frozen=True, slots=True)
class Location:
    """`s3://bucket/prefix`. prefix: without slashes at its ends; "" is the whole bucket."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """name: its path below the prefix, or its last part where the prefix is the object itself."""

    key: str
    name: str
    size_bytes: int
    etag: str


def parse_location(url: str) -> Location:
    """Raises DataFault for anything but `s3://bucket[/prefix]`."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise DataFault(f"{url} is no S3 address; write s3://bucket/prefix")
    prefix = url.split("://", 1)[1].partition("/")[2]
    return Location(parts.netloc, prefix.strip(DELIMITER))


def endpoint() -> str | None:
    """The endpoint that the environment names; None: Amazon's own, or what the AWS profile says."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"):
        if os.environ.get(name):
            return os.environ[name]
    return None


class Interrupted(DataFault):
    """The store did not answer, or stopped in the middle of an object."""


class Store:
    """One bucket's objects through boto3, its errors told in one line each."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.endpoint = endpoint()
        with self._told():
            self._client = _client(self.endpoint, READ_TIMEOUT_S, attempts=4)
            self._first = _client(self.endpoint, FIRST_ANSWER_TIMEOUT_S, attempts=2)

    def objects(self) -> list[RemoteObject]:
        """The object that the prefix names, or every object below it, by key; folder markers are left out.

        Raises DataFault: no credentials, no such bucket, no answer within ten seconds, nothing there.
        """
        with self._told():
            self._first.list_objects_v2(Bucket=self.location.bucket, Prefix=self.location.prefix, MaxKeys=1)
            found = list(self._listed())
        if not found:
            raise DataFault(f"{self.location.url}: nothing is there; look for the prefix's spelling")
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

        Raises Interrupted when the connection breaks, DataFault when it is not the version that was listed.
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
                        f"s3://{self.location.bucket}/{thing.key} changed while it was fetched; run again"
                    )
                yield body.iter_chunks(chunk_bytes)

    @contextmanager
    def _told(self) -> Iterator[None]:
        from botocore import exceptions as boto

        where = self.endpoint or "Amazon S3"
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
            raise DataFault(f"{self.location.url}: {self.location.bucket!r} is no bucket name") from error
        except boto.BotoCoreError as error:
            raise Interrupted(
                f"{self.location.url}: {where} does not answer ({type(error).__name__}); look at the network "
                "and at AWS_ENDPOINT_URL_S3, then run again: what was fetched is kept"
            ) from error

    def _refusal(self, code: str, where: str) -> str:
        bucket, url = self.location.bucket, self.location.url
        if code == "NoSuchBucket":
            return f"{url}: there is no bucket {bucket!r} at {where}"
        if code in ("AccessDenied", "403", "AllAccessDisabled"):
            return (
                f"{url}: access denied by {where}; the key needs s3:ListBucket and s3:GetObject on {bucket!r}"
            )
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
            return (
                f"{url}: {where} refuses the credentials ({code}); look at AWS_ACCESS_KEY_ID and its secret"
            )
        return f"{url}: {where} refuses ({code or 'no code'})"


def _client(address: str | None, read_timeout_s: float, attempts: int) -> Any:
    import boto3  # it makes its clients' classes at run time: there is nothing to annotate with
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=32,
        # other stores than Amazon's seldom have a host name for each bucket
        s3={"addressing_style": "path"} if address else {},
    )
    # a session of its own: the default one is shared between threads and is not safe to create in them
    try:
        return boto3.session.Session().client("s3", endpoint_url=address, config=config)
    except ValueError as error:
        raise DataFault(f"AWS_ENDPOINT_URL_S3 is {address!r}; write it as http://host:port") from error


def _safe(name: str, key: str) -> str:
    """`name`, unless writing it would leave the cache's folder."""
    if name.startswith(DELIMITER) or any(part in ("", ".", "..") for part in name.split(DELIMITER)):
        raise DataFault(f"the object {key!r} has a name that is no path in a folder; rename it")
    return name
