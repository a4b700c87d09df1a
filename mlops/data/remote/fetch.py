"""Data sets in an S3-compatible store: fetched once, verified at every use, fetched again if changed."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from mlops.data.remote.object_store import Interrupted, RemoteObject, Store, parse_location, without_user
from mlops.files.atomic import write_durably
from mlops.files.digests import sha256_of
from mlops.files.locks import locked_folder
from mlops.files.private import new_private_folder
from mlops.terminal.progress import byte_bar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

THREADS = 16
CHUNK_BYTES = 1 << 18
ATTEMPTS = 4
OnBytes = Callable[[int], None]


def fetch(url: str, cache: Path) -> Path:
    """Download `s3://bucket/prefix`, a folder or one object. Returns the local folder or file.

    Files that are present are compared with the store by size and etag and verified by SHA-256. Only objects
    that are missing, changed in the store or damaged locally are fetched, `THREADS` at a time. Objects that
    were deleted in the store are deleted here. A progress bar is shown if stderr is a terminal.

    Credentials, region and endpoint are boto3's: AWS_* variables and profiles. MLFLOW_S3_ENDPOINT_URL also
    works. Raises DataFault: no credentials, no such bucket, no answer within ten seconds, no objects.
    """
    store = Store(parse_location(url))
    objects = store.objects()
    new_private_folder(cache)
    home = cache / "s3" / _folder_name(store)
    with locked_folder(home):
        for folder in ("files", "parts"):
            (home / folder).mkdir(exist_ok=True)
        shelf = _Shelf(home, Manifest(home / "manifest.jsonl"))
        missing = shelf.missing(objects)
        with byte_bar(
            f"fetching {store.location.url}", sum(thing.size_bytes for thing in missing)
        ) as on_bytes:
            _fetch_all(store, shelf, missing, on_bytes)
        shelf.keep_only(objects)
    alone = objects[0] if objects[0].key == store.location.prefix else None
    return shelf.file(alone) if alone else shelf.files


def _folder_name(store: Store) -> str:
    """A readable folder name, unique for an endpoint and address."""
    address = f"{without_user(store.endpoint or '')}\n{store.location.url}"
    last = store.location.prefix.rpartition("/")[2] or store.location.bucket
    readable = "".join(c if c.isalnum() or c in "-_" else "-" for c in last)[:40]
    return f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The cache of one address."""

    home: Path
    manifest: Manifest

    @property
    def files(self) -> Path:
        return self.home / "files"

    def file(self, thing: RemoteObject) -> Path:
        return self.files / thing.name

    def part(self, thing: RemoteObject) -> Path:
        """The file of an unfinished download of this version of the object."""
        version = hashlib.sha256(f"{thing.key}\n{thing.etag}".encode()).hexdigest()
        return self.home / "parts" / version

    def missing(self, objects: list[RemoteObject]) -> list[RemoteObject]:
        """The objects that are not present, differ from the store's version, or are damaged."""
        with ThreadPoolExecutor(THREADS) as pool:
            intact = list(pool.map(self._is_held, objects))
        return [thing for thing, here in zip(objects, intact, strict=True) if not here]

    def _is_held(self, thing: RemoteObject) -> bool:
        held = self.manifest.get(thing.key)
        same = held is not None and (held.size_bytes, held.etag) == (thing.size_bytes, thing.etag)
        return held is not None and same and is_intact(self.file(thing), held)

    def keep_only(self, objects: list[RemoteObject]) -> None:
        """Delete what the store no longer has, and unfinished downloads of other versions."""
        wanted = {self.file(thing) for thing in objects}
        for path in sorted(self.files.rglob("*"), reverse=True):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in wanted:
                path.unlink()
        for path in (self.home / "parts").iterdir():
            path.unlink()
        self.manifest.rewrite(thing.key for thing in objects)


def _fetch_all(store: Store, shelf: _Shelf, missing: list[RemoteObject], on_bytes: OnBytes) -> None:
    """Fetch in parallel; after the first failure, or Ctrl-C, the others stop at the end of their chunk."""
    stop = threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(_fetch_one, store, shelf, thing, on_bytes, stop) for thing in missing]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _fetch_one(
    store: Store, shelf: _Shelf, thing: RemoteObject, on_bytes: OnBytes, stop: threading.Event
) -> None:
    part, file = shelf.part(thing), shelf.file(thing)
    part.touch()
    resumed = _size(part)
    on_bytes(resumed)
    if not _complete(store, thing, part, on_bytes, stop):
        return
    if resumed and (_size(part) != thing.size_bytes or not may_be(part, thing.etag)):
        part.write_bytes(b"")  # the unfinished file was damaged
        if not _complete(store, thing, part, lambda _: None, stop):
            return
    digest = sha256_of(part)
    file.parent.mkdir(parents=True, exist_ok=True)
    part.replace(file)
    shelf.manifest.add(Held(thing.key, thing.size_bytes, thing.etag, digest))


def _complete(
    store: Store, thing: RemoteObject, part: Path, on_bytes: OnBytes, stop: threading.Event
) -> bool:
    """Append to `part` until it is complete, retrying broken connections; False if stopped before."""
    attempts = 0
    while _size(part) < thing.size_bytes:
        attempts += 1
        try:
            with store.stream(thing, _size(part), CHUNK_BYTES) as chunks, part.open("ab") as out:
                for chunk in chunks:
                    if stop.is_set():
                        return False
                    out.write(chunk)
                    on_bytes(len(chunk))
        except Interrupted:
            if attempts == ATTEMPTS:
                raise
    return True


def _size(part: Path) -> int:
    return part.stat().st_size


@dataclass(frozen=True, slots=True)
class Held:
    """One object in the cache, as fetched."""

    key: str
    size_bytes: int
    etag: str
    sha256: str


class Manifest:
    """A file of one JSON line per object. The last line of a key counts; a truncated line is ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._held = dict(_read(path))

    def get(self, key: str) -> Held | None:
        return self._held.get(key)

    def keys(self) -> set[str]:
        return set(self._held)

    def add(self, held: Held) -> None:
        with self._lock:
            self._held[held.key] = held
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write("\n" + json.dumps(asdict(held)))

    def rewrite(self, keep: Iterable[str]) -> None:
        """Keep only these keys, one line each, by an atomic replacement."""
        self._held = {key: self._held[key] for key in sorted(keep)}
        lines = (json.dumps(asdict(held)) for held in self._held.values())
        write_durably(self._path, "\n".join(lines).encode())


def _read(path: Path) -> Iterable[tuple[str, Held]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            held = Held(**json.loads(line))
        except (ValueError, TypeError):
            continue  # blank, or truncated by an interruption: the object is fetched again
        yield held.key, held


def may_be(path: Path, etag: str) -> bool:
    """False if the store's etag is an MD5 that differs from the file's; True for other kinds of etag."""
    if not re.fullmatch("[0-9a-f]{32}", etag):
        return True
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest() == etag


def is_intact(path: Path, held: Held) -> bool:
    """Whether the file still has the bytes that were fetched."""
    try:
        return path.stat().st_size == held.size_bytes and sha256_of(path) == held.sha256
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False
