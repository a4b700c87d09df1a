"""The outbox's database: tables, connection and transactions.

One SQLite file in WAL mode, written by any number of processes. With `synchronous = NORMAL` an accepted row
survives the death of its process at any moment; after `barrier` it also survives a power failure.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlops.errors import DiskFull, UserError
from mlops.files.atomic import sync
from mlops.files.private import private_folder, private_home
from mlops.tracking.outbox.old_logins import remove_old_logins
from mlops.tracking.outbox.spool import Spool

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    uri TEXT NOT NULL, key TEXT NOT NULL, uid TEXT NOT NULL,
    experiment TEXT NOT NULL, name TEXT NOT NULL,
    parent INTEGER REFERENCES runs(id), adopt TEXT NOT NULL, tags TEXT NOT NULL, start_ms INTEGER NOT NULL,
    mlflow_id TEXT, experiment_id TEXT, create_tried INTEGER NOT NULL DEFAULT 0, blocked TEXT,
    UNIQUE (uri, key)
);
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs(id),
    kind TEXT NOT NULL, series TEXT, step INTEGER NOT NULL DEFAULT 0, at_ms INTEGER NOT NULL,
    payload TEXT NOT NULL, uid TEXT NOT NULL DEFAULT '', memo TEXT NOT NULL DEFAULT '{}',
    state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS first_wins ON entries (run, series, step) WHERE series IS NOT NULL;
CREATE INDEX IF NOT EXISTS waiting ON entries (run, attempts, seq) WHERE state = 0;
CREATE INDEX IF NOT EXISTS refused ON entries (run, seq) WHERE state = 2;
CREATE INDEX IF NOT EXISTS by_kind ON entries (run, kind, seq) WHERE kind <> 'metrics';
CREATE TABLE IF NOT EXISTS params (
    run INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_NO_ROOM = ("database or disk is full", "disk I/O error")


class Database:
    """One connection to the outbox in `home`. Threads may use it one at a time; each process must open its
    own.

    Every method that writes may raise DiskFull; UserError if the file is not an outbox.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.path = self.home / "outbox.db"
        self.spool = Spool(self.home / "spool")
        self._lock = threading.RLock()
        self._pid = 0
        try:
            private_home(self.home)
            private_folder(self.spool.folder)
            _create(self.path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(str(self.home), "the outbox") from error
            raise
        self._connected()

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._pid == os.getpid():
                self._db.close()
                self._pid = 0

    def barrier(self) -> None:
        """Return when everything accepted is on disk, safe from a power failure.

        SQLite syncs pages that a checkpoint moves out of the log. The database file is not opened here:
        closing a second descriptor would release this process's locks on it (sqlite.org/howtocorrupt.html,
        2.2), and another process might delete the log.
        """
        for path in (self.path.with_name("outbox.db-wal"), self.home):
            with suppress(FileNotFoundError):
                sync(path)

    def _connected(self) -> sqlite3.Connection:
        if self._pid != os.getpid():  # a forked child must never use its parent's connection
            self._db = self._connect()
            self._pid = os.getpid()
        return self._db

    def _connect(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            with self._room_for("the outbox's tables"):
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                found = db.execute("PRAGMA user_version").fetchone()[0]
                if found == 0:
                    db.executescript(
                        f"BEGIN IMMEDIATE;{SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
                    )
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self.path} cannot be used as an outbox: {error}; move the file to start with a new outbox"
            ) from error
        if found > SCHEMA_VERSION:
            raise UserError(f"{self.path} was written by a later version of vision-mlops; upgrade it")
        with self._room_for("the outbox without logins"):
            remove_old_logins(db, self.home)
        return db

    @contextmanager
    def _room_for(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._no_room(error, what) from error

    def _no_room(self, error: sqlite3.OperationalError, what: str) -> Exception:
        """DiskFull if `error` means a full disk, else `error`."""
        if any(words in str(error) for words in _NO_ROOM):
            return DiskFull(str(self.home), what)
        return error

    @contextmanager
    def _transaction(self, what: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._room_for(what):
            db = self._connected()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _write(self, what: str, sql: str, rows: Sequence[Sequence[object]]) -> None:
        with self._transaction(what) as db:
            db.executemany(sql, rows)

    def _all(self, sql: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connected().execute(sql, tuple(values)).fetchall()


def _create(file: Path) -> None:
    """Create the file, readable only by its owner; an existing one is not opened, see `Database.barrier`."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
