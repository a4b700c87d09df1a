"""The outbox: what has been logged, kept on this machine's disk until the server has it, and after.

One SQLite file in WAL mode, written by any number of processes. With `synchronous = NORMAL` a row that was
accepted survives the death of its process at any moment; `barrier` makes it survive a power cut too.
Delivered rows stay: they are what makes an epoch that is trained twice count once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops.errors import DiskFull, MlopsError
from mlops.tracking.entries import Counts, Entry, Kind, Rejected, RunRow, State
from mlops.tracking.spool import Spool

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
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs(id),
    kind TEXT NOT NULL, series TEXT, step INTEGER NOT NULL DEFAULT 0, at_ms INTEGER NOT NULL,
    payload TEXT NOT NULL, uid TEXT NOT NULL DEFAULT '', memo TEXT NOT NULL DEFAULT '{}',
    state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS first_wins ON entries (run, series, step) WHERE series IS NOT NULL;
CREATE INDEX IF NOT EXISTS waiting ON entries (state, run, seq) WHERE state <> 1;
CREATE INDEX IF NOT EXISTS by_kind ON entries (run, kind, seq) WHERE kind NOT IN ('metrics');
CREATE TABLE IF NOT EXISTS params (
    run INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_NO_ROOM = ("database or disk is full", "disk I/O error")
_INSERT = "INSERT OR IGNORE INTO entries (run, kind, series, step, at_ms, payload, uid) VALUES (?, ?, ?, ?, ?, ?, ?)"
_RUN_COLUMNS = "id, uri, key, uid, experiment, name, parent, adopt, tags, start_ms, mlflow_id, experiment_id, create_tried"
_ENTRY_COLUMNS = "seq, run, kind, series, step, at_ms, payload, uid, memo, attempts"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Outbox:
    """One connection to the outbox in `home`. Any thread may use it, one at a time; open one in each process.

    Raises DiskFull from every method that writes, and MlopsError where the file is not an outbox of ours.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.path = self.home / "outbox.db"
        self.spool = Spool(self.home / "spool")
        self._lock = threading.RLock()
        try:
            self.spool.folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            if error.errno is not None and error.strerror == os.strerror(28):
                raise DiskFull(str(self.home), "the outbox") from error
            raise
        self._pid = 0
        self._db = self._connected()

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
            raise MlopsError(
                f"{self.path} cannot be used as an outbox: {error}; move it away to begin anew"
            ) from error
        if found > SCHEMA_VERSION:
            raise MlopsError(f"{self.path} was written by a later version of this product: upgrade it")
        return db

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            if self._pid == os.getpid():
                self._db.close()
                self._pid = 0

    @contextmanager
    def _room_for(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if any(words in str(error) for words in _NO_ROOM):
                raise DiskFull(str(self.home), what) from error
            raise

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

    # -- accepting ------------------------------------------------------------------------------------

    def open_run(
        self,
        uri: str,
        key: str,
        *,
        experiment: str,
        name: str,
        parent: int | None,
        adopt: str,
        tags: Mapping[str, str],
    ) -> tuple[RunRow, bool]:
        """The run of this key, made if it is new; and whether it is."""
        row = (uri, key, uuid.uuid4().hex, experiment, name, parent, adopt, json.dumps(dict(tags)), now_ms())
        with self._transaction(f"run {key}") as db:
            made = db.execute(
                "INSERT OR IGNORE INTO runs (uri, key, uid, experiment, name, parent, adopt, tags, start_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            is_new = made.rowcount == 1
        found = self.find_run(uri, key)
        assert found is not None
        return found, is_new

    def accept(
        self,
        run: int,
        kind: Kind,
        payload: Any,
        *,
        series: str | None = None,
        step: int = 0,
        at_ms: int | None = None,
    ) -> bool:
        """Write one entry; False where `series` has this step already (the first that came in stays)."""
        row = (run, kind.value, series, step, at_ms or now_ms(), json.dumps(payload), "")
        with self._lock, self._room_for(f"{kind.value} of step {step}"):
            return self._connected().execute(_INSERT, row).rowcount == 1

    def accept_once(
        self, run: int, kind: Kind, payloads: Sequence[Any], *, series: str | None = None
    ) -> None:
        """Write entries that the server must be given once, in one transaction."""
        at_ms = now_ms()
        rows = [(run, kind.value, series, 0, at_ms, json.dumps(p), uuid.uuid4().hex) for p in payloads]
        with self._transaction(kind.value) as db:
            db.executemany(_INSERT, rows)

    def accept_params(self, run: int, params: Mapping[str, str], at_ms: int) -> dict[str, str]:
        """Write params not seen before; returns those whose earlier value differs, with that value."""
        with self._transaction("params") as db:
            known = dict(db.execute("SELECT name, value FROM params WHERE run = ?", (run,)))
            new = {name: value for name, value in params.items() if name not in known}
            if new:
                db.executemany("INSERT INTO params VALUES (?, ?, ?)", [(run, k, v) for k, v in new.items()])
                db.execute(_INSERT, (run, Kind.PARAMS.value, None, 0, at_ms, json.dumps(new), ""))
        return {name: known[name] for name, value in params.items() if known.get(name, value) != value}

    def barrier(self) -> None:
        """Return once everything accepted is on the disk itself, safe from a power cut."""
        for path in (self.path.with_name("outbox.db-wal"), self.path, self.home):
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    # -- reading --------------------------------------------------------------------------------------

    def _all(self, sql: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connected().execute(sql, tuple(values)).fetchall()

    def find_run(self, uri: str, key: str) -> RunRow | None:
        rows = self._all(f"SELECT {_RUN_COLUMNS} FROM runs WHERE uri = ? AND key = ?", (uri, key))
        return _run(rows[0]) if rows else None

    def run(self, run_id: int) -> RunRow:
        return _run(self._all(f"SELECT {_RUN_COLUMNS} FROM runs WHERE id = ?", (run_id,))[0])

    def waiting_runs(self, uri: str) -> list[RunRow]:
        """Runs that are not made on the server yet or have pending entries, oldest first: parents before children."""
        sql = (
            f"SELECT {_RUN_COLUMNS} FROM runs WHERE uri = ? AND (mlflow_id IS NULL"
            " OR EXISTS (SELECT 1 FROM entries WHERE state = 0 AND run = runs.id)) ORDER BY id"
        )
        return [_run(row) for row in self._all(sql, (uri,))]

    def waiting_entries(self, run: int, kinds: Sequence[Kind], limit: int) -> list[Entry]:
        marks = ", ".join("?" * len(kinds))
        sql = (
            f"SELECT {_ENTRY_COLUMNS} FROM entries WHERE state = 0 AND run = ? AND kind IN ({marks})"
            " ORDER BY seq LIMIT ?"
        )
        return [_entry(row) for row in self._all(sql, (run, *(k.value for k in kinds), limit))]

    def entries_of(self, run: int, kind: Kind, after: int = 0) -> list[Entry]:
        """All entries of one kind, delivered or not, oldest first."""
        sql = f"SELECT {_ENTRY_COLUMNS} FROM entries WHERE run = ? AND kind = ? AND seq > ? ORDER BY seq"
        return [_entry(row) for row in self._all(sql, (run, kind.value, after))]

    def last_step(self, run: int, series: str) -> int | None:
        found = self._all("SELECT max(step) FROM entries WHERE run = ? AND series = ?", (run, series))
        return None if found[0][0] is None else int(found[0][0])

    def counts(self, uri: str | None = None) -> Counts:
        """Entries in each state; a run that the server has not made yet counts as one pending."""
        where, values = ("WHERE uri = ?", (uri,)) if uri is not None else ("", ())
        sql = f"SELECT state, count(*) FROM entries JOIN runs ON runs.id = entries.run {where} GROUP BY state"
        by_state = dict(self._all(sql, values))
        unmade = self._all(
            f"SELECT count(*) FROM runs {where}{' AND' if where else 'WHERE'} mlflow_id IS NULL", values
        )[0][0]
        return Counts(
            by_state.get(State.PENDING, 0) + unmade,
            by_state.get(State.REJECTED, 0),
            by_state.get(State.DELIVERED, 0),
        )

    def uris(self) -> list[str]:
        return [row[0] for row in self._all("SELECT DISTINCT uri FROM runs ORDER BY uri")]

    def rejected(self, uri: str | None = None) -> list[Rejected]:
        sql = (
            "SELECT runs.key, kind, step, payload, reason FROM entries JOIN runs ON runs.id = entries.run"
            f" WHERE state = 2 {'AND uri = ?' if uri is not None else ''} ORDER BY seq"
        )
        rows = self._all(sql, (uri,) if uri is not None else ())
        return [
            Rejected(key, kind, _what(kind, step, json.loads(p)), reason or "")
            for key, kind, step, p, reason in rows
        ]

    def blocked(self, uri: str) -> list[tuple[str, str]]:
        """Runs that the server will not make, with the reason."""
        sql = "SELECT key, blocked FROM runs WHERE uri = ? AND blocked IS NOT NULL AND mlflow_id IS NULL ORDER BY id"
        return [(key, reason) for key, reason in self._all(sql, (uri,))]

    def note(self, name: str) -> str | None:
        found = self._all("SELECT value FROM notes WHERE name = ?", (name,))
        return found[0][0] if found else None

    # -- delivery's marks -----------------------------------------------------------------------------

    def _write(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        with self._transaction("delivery's marks") as db:
            db.executemany(sql, rows)

    def set_note(self, name: str, value: str) -> None:
        self._write("INSERT OR REPLACE INTO notes VALUES (?, ?)", [(name, value)])

    def mark_delivered(self, seqs: Iterable[int]) -> None:
        self._write("UPDATE entries SET state = 1, reason = NULL WHERE seq = ?", [(seq,) for seq in seqs])

    def mark_rejected(self, seq: int, reason: str) -> None:
        self._write("UPDATE entries SET state = 2, reason = ? WHERE seq = ?", [(reason, seq)])

    def mark_failed(self, seqs: Iterable[int], reason: str) -> None:
        """Note a failed attempt; the entries stay pending."""
        self._write(
            "UPDATE entries SET attempts = attempts + 1, reason = ? WHERE seq = ?",
            [(reason, s) for s in seqs],
        )

    def keep_part(self, seq: int, left: Any, at_ms: int, reason: str) -> None:
        """Reject only `left` of an entry: its other part has been delivered."""
        self._write(
            "UPDATE entries SET state = 2, payload = ?, at_ms = ?, reason = ? WHERE seq = ?",
            [(json.dumps(left), at_ms, reason, seq)],
        )

    def set_memo(self, seq: int, memo: Mapping[str, Any]) -> None:
        self._write("UPDATE entries SET memo = ? WHERE seq = ?", [(json.dumps(dict(memo)), seq)])

    def mark_create_tried(self, run: int) -> None:
        self._write("UPDATE runs SET create_tried = 1 WHERE id = ?", [(run,)])

    def mark_made(self, run: int, mlflow_id: str, experiment_id: str) -> None:
        self._write(
            "UPDATE runs SET mlflow_id = ?, experiment_id = ?, blocked = NULL WHERE id = ?",
            [(mlflow_id, experiment_id, run)],
        )

    def mark_blocked(self, run: int, reason: str) -> None:
        self._write("UPDATE runs SET blocked = ? WHERE id = ?", [(reason, run)])

    def retry_rejected(self, uri: str | None = None) -> int:
        """Make rejected entries pending again; returns how many."""
        with self._transaction("delivery's marks") as db:
            return db.execute(
                "UPDATE entries SET state = 0, attempts = 0 WHERE state = 2"
                " AND (?1 IS NULL OR run IN (SELECT id FROM runs WHERE uri = ?1))",
                (uri,),
            ).rowcount

    def spooled(self) -> set[str]:
        """Spool folders that an undelivered entry names."""
        rows = self._all("SELECT payload FROM entries WHERE state <> 1 AND kind IN ('artifact', 'model')")
        return {json.loads(payload)["spool"].split("/")[0] for (payload,) in rows}


def _run(row: tuple[Any, ...]) -> RunRow:
    return RunRow(*row[:8], json.loads(row[8]), *row[9:12], bool(row[12]))


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, run, kind, series, step, at_ms, payload, uid, memo, attempts = row
    return Entry(
        seq, run, Kind(kind), series, step, at_ms, json.loads(payload), uid, json.loads(memo), attempts
    )


def _what(kind: str, step: int, payload: Any) -> str:
    if kind == Kind.METRICS.value:
        return f"step {step}: {', '.join(payload)}"
    if kind in (Kind.PARAMS.value, Kind.TAGS.value):
        return ", ".join(payload)
    return str(payload.get("path") or payload.get("name") or payload.get("status"))
