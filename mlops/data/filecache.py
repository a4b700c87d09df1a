"""Remember what was worked out from a file's content for as long as the file does not change."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops.errors import DataFault, DiskFull

_RACY_S = 2.0  # a file changed so lately may change again within the clock's grain: not remembered
_ASKED_AT_ONCE = 500
_LEAST_ROOM_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class FileKey:
    """What tells that a file is the one that was read before, without reading it."""

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
    """One kind of text a file, in `<cache>/digests.db`. Several processes may use it at once.

    Raises DiskFull, DataFault where the file is damaged or locked away, OSError where it cannot be made.
    """

    def __init__(self, folder: Path, kind: Literal["digests", "looks"]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "digests.db"
        self._kind = kind
        with self._open() as base:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute(
                f"CREATE TABLE IF NOT EXISTS {kind} (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER,"
                " inode INTEGER, value TEXT)"
            )

    def known(self, keys: Sequence[FileKey]) -> dict[FileKey, str]:
        """What is remembered of each file that has not changed since."""
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
        """Keep a text for each file, in place of what was known of it."""
        rows = [(k.path, k.size_bytes, k.mtime_ns, k.inode, value) for k, value in values if k.settled]
        with self._open() as base:
            base.executemany(f"INSERT OR REPLACE INTO {self._kind} VALUES (?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Raises DiskFull and, where the file is damaged or not to be used, DataFault."""
        try:
            with closing(sqlite3.connect(self._file, timeout=60)) as base, base:
                yield base
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL or self._without_room():
                raise DiskFull(str(self._file.parent), "the digests of the data") from error
            raise DataFault(
                f"{self._file}: {error}; it only remembers what was seen of the data: remove it, or mend its "
                "permissions"
            ) from error

    def _without_room(self) -> bool:
        """SQLite tells of a full disk as an "I/O error" when it is its shared memory that has no room."""
        return shutil.disk_usage(self._file.parent).free < _LEAST_ROOM_BYTES
