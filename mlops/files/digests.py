"""SHA-256 digests of files and data sets, cached for as long as a file does not change."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops.errors import DataFault, DiskFull
from mlops.files.private import new_private_folder
from mlops.machine.processors import most_threads
from mlops.terminal.progress import counted


def file_digests(files: Sequence[Path], cache: Path) -> dict[Path, str]:
    """SHA-256 (hex) of each file; only those that changed since the last call are read. Raises OSError."""
    unique = list(dict.fromkeys(files))
    keys = [FileKey.of(file) for file in unique]
    remembered = FileCache(cache, "digests")
    known = remembered.known(keys)
    unknown = [key for key in keys if key not in known]
    if unknown:
        with ThreadPoolExecutor(most_threads()) as pool:
            paths = [key.path for key in unknown]
            digests = counted(pool.map(sha256_of, paths), len(paths), "Taking the digest")
            hashed = list(zip(unknown, digests, strict=True))
        remembered.remember(hashed)
        known.update(hashed)
    return {file: known[key] for file, key in zip(unique, keys, strict=True)}


def content_digest(files: Sequence[Path], root: Path, cache: Path, facts: Iterable[str] = ()) -> str:
    """SHA-256 (hex) over every file's name relative to `root` and its content, independent of their order.

    It is the SHA-256 of the sorted lines `name NUL sha256-of-content` and `facts` (what training uses besides
    the files: class names, the split of each image), each ended by a newline. So a copy of the data has the
    same digest, and one changed byte or name gives another.
    """
    digests = file_digests(files, cache)
    lines = [f"{relative_name(file, root)}\0{sha256}" for file, sha256 in digests.items()]
    return digest_of_lines([*lines, *facts])


def digest_of_lines(lines: Iterable[str]) -> str:
    total = hashlib.sha256()
    for line in sorted(lines):
        total.update(line.encode() + b"\n")
    return total.hexdigest()


def relative_name(file: Path, root: Path) -> str:
    """A file's name relative to `root`, with `/`; it may begin with `..`."""
    return Path(os.path.relpath(file, root)).as_posix()


def sha256_of(path: str | Path) -> str:
    """SHA-256 (hex) of a file's content. Raises OSError."""
    with open(path, "rb") as stream:  # noqa: PTH123 (40,000 times)
        return hashlib.file_digest(stream, "sha256").hexdigest()


_RACY_S = 2.0  # a file changed this recently may change again within the clock's resolution; not cached
_ASKED_AT_ONCE = 500
_LEAST_ROOM_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class FileKey:
    """Identifies an unchanged file without reading it."""

    path: str
    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileKey:
        stat = os.stat(path)  # noqa: PTH116 (half the time of Path.stat, 40,000 times)
        return cls(str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino)

    @property
    def settled(self) -> bool:
        return time.time() - self.mtime_ns / 1e9 > _RACY_S


class FileCache:
    """Cache of one kind of text per file, in `<cache>/digests.db`. Safe for concurrent processes.

    Raises DiskFull, DataFault if the database is damaged or not accessible, OSError if it cannot be created.
    """

    def __init__(self, folder: Path, kind: Literal["digests", "looks", "headers"]) -> None:
        new_private_folder(folder)
        self._file = folder / "digests.db"
        self._kind = kind
        with self._open() as base:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute(
                f"CREATE TABLE IF NOT EXISTS {kind} (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER,"
                " inode INTEGER, value TEXT)"
            )

    def known(self, keys: Sequence[FileKey]) -> dict[FileKey, str]:
        """The cached text of each file that has not changed since."""
        wanted = set(keys)
        found: dict[FileKey, str] = {}
        with self._open() as base:
            for start in range(0, len(keys), _ASKED_AT_ONCE):
                paths = [key.path for key in keys[start : start + _ASKED_AT_ONCE]]
                marks = ",".join("?" * len(paths))
                rows = base.execute(
                    f"SELECT path, size, mtime_ns, inode, value FROM {self._kind} WHERE path IN ({marks})",
                    paths,
                )
                found.update((FileKey(*key), value) for *key, value in rows if FileKey(*key) in wanted)
        return found

    def remember(self, values: Iterable[tuple[FileKey, str]]) -> None:
        """Store a text for each file; replaces the previous one."""
        rows = [(k.path, k.size_bytes, k.mtime_ns, k.inode, value) for k, value in values if k.settled]
        with self._open() as base:
            base.executemany(f"INSERT OR REPLACE INTO {self._kind} VALUES (?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Raises DiskFull, and DataFault if the database is damaged or not accessible."""
        try:
            with closing(sqlite3.connect(self._file, timeout=60)) as base, base:
                yield base
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL or self._without_room():
                raise DiskFull(str(self._file.parent), "the digests of the data") from error
            raise DataFault(
                f"{self._file}: {error}; it is only a cache: delete it, or fix its permissions"
            ) from error

    def _without_room(self) -> bool:
        """SQLite reports a full disk as an "I/O error" if its shared-memory file cannot grow."""
        return shutil.disk_usage(self._file.parent).free < _LEAST_ROOM_BYTES
