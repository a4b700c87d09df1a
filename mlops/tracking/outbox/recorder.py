"""The outbox keeps logged entries on this disk, also after delivery."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from typing import TYPE_CHECKING, Any

from mlops.tracking.outbox.database import Database
from mlops.tracking.outbox.entries import EntryKind, OutboxEntry, RunRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INSERT = """INSERT OR IGNORE INTO entries (run, kind, series, step, at_ms, payload, uid)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
RUN_COLUMNS = (
    "id, uri, key, uid, experiment, name, parent, adopt, tags, start_ms,"
    " mlflow_id, experiment_id, create_tried"
)
ENTRY_COLUMNS = "seq, run, kind, series, step, at_ms, payload, uid, memo, attempts"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Outbox(Database):
    """The part of the outbox for `Run`: accept entries and read them."""

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
        uid: str = "",
        start_ms: int | None = None,
    ) -> tuple[RunRow, bool]:
        """The run of this key, created if it is new; and whether it is new.

        uid: given if the same run may come from several outboxes; the store is then searched for it first.
        """
        row = (uri, key, uid or uuid.uuid4().hex, experiment, name, parent, adopt, json.dumps(dict(tags)))
        with self._transaction(f"run {key}") as db:
            made = db.execute(
                "INSERT OR IGNORE INTO runs (uri, key, uid, experiment, name, parent, adopt, tags, start_ms,"
                " create_tried) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, now_ms() if start_ms is None else start_ms, bool(uid)),
            )
            is_new = made.rowcount == 1
        found = self.find_run(uri, key)
        assert found is not None
        return found, is_new

    def accept(
        self,
        run: int,
        kind: EntryKind,
        payload: Any,
        *,
        series: str | None = None,
        step: int = 0,
        at_ms: int | None = None,
    ) -> bool:
        """Write one entry; False if `series` already has this step (the first entry is kept)."""
        row = (run, kind.value, series, step, at_ms or now_ms(), json.dumps(payload), "")
        with self._lock:
            try:
                return self._connected().execute(_INSERT, row).rowcount == 1
            except sqlite3.OperationalError as error:
                raise self._no_room(error, f"{kind.value} of step {step}") from error

    def accept_once(
        self, run: int, kind: EntryKind, payloads: Sequence[Any], *, series: str | None = None
    ) -> None:
        """Write entries that must be sent to the server only once, in one transaction."""
        at_ms = now_ms()
        rows = [(run, kind.value, series, 0, at_ms, json.dumps(p), uuid.uuid4().hex) for p in payloads]
        with self._transaction(kind.value) as db:
            db.executemany(_INSERT, rows)

    def accept_params(self, run: int, params: Mapping[str, str], at_ms: int) -> dict[str, str]:
        """Write new params; returns those with a different earlier value, with that value."""
        with self._transaction("params") as db:
            known = dict(db.execute("SELECT name, value FROM params WHERE run = ?", (run,)))
            new = {name: value for name, value in params.items() if name not in known}
            if new:
                db.executemany("INSERT INTO params VALUES (?, ?, ?)", [(run, k, v) for k, v in new.items()])
                db.execute(_INSERT, (run, EntryKind.PARAMS.value, None, 0, at_ms, json.dumps(new), ""))
        return {name: known[name] for name, value in params.items() if known.get(name, value) != value}

    def find_run(self, uri: str, key: str) -> RunRow | None:
        rows = self._all(f"SELECT {RUN_COLUMNS} FROM runs WHERE uri = ? AND key = ?", (uri, key))
        return as_run(rows[0]) if rows else None

    def run(self, run_id: int) -> RunRow:
        return as_run(self._all(f"SELECT {RUN_COLUMNS} FROM runs WHERE id = ?", (run_id,))[0])

    def entries_of(self, run: int, kind: EntryKind, after: int = 0) -> list[OutboxEntry]:
        """All entries of one kind, delivered or not, oldest first."""
        indexed = "" if kind is EntryKind.METRICS else "AND kind <> 'metrics'"  # lets SQLite use `by_kind`
        sql = (
            f"SELECT {ENTRY_COLUMNS} FROM entries"
            f" WHERE run = ? AND kind = ? AND seq > ? {indexed} ORDER BY seq"
        )
        return [as_entry(row) for row in self._all(sql, (run, kind.value, after))]

    def metrics_of(self, run: int, series: str) -> dict[str, float]:
        """All metrics of a series; the first value of each."""
        rows = self._all(
            "SELECT payload FROM entries WHERE run = ? AND series = ? ORDER BY seq DESC", (run, series)
        )
        return {name: value for (payload,) in rows for name, value in json.loads(payload).items()}

    def artifact_digests(self, run: int) -> dict[str, str]:
        """SHA-256 of each accepted artifact of the run, by its path: of the newest of several."""
        return {e.payload["path"]: e.payload["sha256"] for e in self.entries_of(run, EntryKind.ARTIFACT)}

    def last_step(self, run: int, series: str) -> int | None:
        found = self._all("SELECT max(step) FROM entries WHERE run = ? AND series = ?", (run, series))
        return None if found[0][0] is None else int(found[0][0])


def as_run(row: Sequence[Any]) -> RunRow:
    """A row of RUN_COLUMNS."""
    return RunRow(
        id=row[0],
        uri=row[1],
        key=row[2],
        uid=row[3],
        experiment=row[4],
        name=row[5],
        parent=row[6],
        adopt=row[7],
        tags=json.loads(row[8]),
        start_ms=row[9],
        mlflow_id=row[10],
        experiment_id=row[11],
        create_tried=bool(row[12]),
    )


def as_entry(row: Sequence[Any]) -> OutboxEntry:
    """A row of ENTRY_COLUMNS."""
    seq, run, kind, series, step, at_ms, payload, uid, memo, attempts = row
    return OutboxEntry(
        seq, run, EntryKind(kind), series, step, at_ms, json.loads(payload), uid, json.loads(memo), attempts
    )
