"""What a cache of remote objects holds, written down object by object, so that an interruption loses none."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from mlops.data.digest import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Held:
    """One object in the cache, as it was when it was fetched."""

    key: str
    size_bytes: int
    etag: str
    sha256: str


class Manifest:
    """A file of one JSON line an object; a later line of the same key stands, a torn last one is left out."""

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
        """Keep these keys only, one line each, in one move."""
        self._held = {key: self._held[key] for key in sorted(keep)}
        fresh = self._path.with_suffix(".new")
        fresh.write_text(
            "\n".join(json.dumps(asdict(held)) for held in self._held.values()), encoding="utf-8"
        )
        fresh.replace(self._path)


def _read(path: Path) -> Iterable[tuple[str, Held]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            held = Held(**json.loads(line))
        except (ValueError, TypeError):
            continue  # blank, or torn by an interruption: the object is fetched again
        yield held.key, held


def may_be(path: Path, etag: str) -> bool:
    """False where the store's etag is an MD5 and the file has another; other etags tell nothing."""
    if not re.fullmatch("[0-9a-f]{32}", etag):
        return True
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest() == etag


def is_intact(path: Path, held: Held) -> bool:
    """Whether the file has the bytes that were fetched."""
    try:
        return path.stat().st_size == held.size_bytes and sha256_of(path) == held.sha256
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False
