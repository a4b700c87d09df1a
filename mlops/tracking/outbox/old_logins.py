"""Remove the logins that release 0.1 stored in the outbox: in the stores' URIs, and in texts beside them.

An entry stays with its run. Two runs of one key, recorded under two passwords of one store, stay two runs:
the newest keeps the key, as it is the one that its study continues, and the others get a number.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlops.files.locks import ProcessLock
from mlops.redaction import redact_values
from mlops.store.credentials import parse_address
from mlops.store.names import folder_name

_UNFINISHED = "logins to overwrite"  # a note: the rows are clean, but the files may still have the old bytes
# texts that may contain a login: an error of the store, a tag, a data set's source
_TEXTS = (
    ("runs", "id", "tags, blocked, name", "1"),
    ("entries", "seq", "payload, reason, memo", "kind <> 'metrics' OR reason IS NOT NULL"),
)
_BUSY_MS = 5_000


def remove_old_logins(db: sqlite3.Connection, home: Path) -> None:
    """Clean the outbox, once; does nothing for one without logins. Other processes may use the outbox."""
    if _stored_uris(db):
        _clean_rows(db, home)
    if db.execute("SELECT 1 FROM notes WHERE name = ?", (_UNFINISHED,)).fetchone():
        _overwrite(db)


def lock_file(home: Path, uri: str) -> Path:
    """The lock of the process that delivers to the store."""
    return home / f"deliver-{folder_name(uri)[-60:]}.lock"


def _stored_uris(db: sqlite3.Connection) -> list[str]:
    """The stores' URIs that have a login."""
    uris = [row[0] for row in db.execute("SELECT DISTINCT uri FROM runs")]
    return [uri for uri in uris if parse_address(uri).has_secrets]


def _clean_rows(db: sqlite3.Connection, home: Path) -> None:
    db.execute("PRAGMA secure_delete = ON")
    db.execute("BEGIN IMMEDIATE")
    try:
        uris = _stored_uris(db)  # another process may have been first
        for uri in uris:
            _move_runs(db, uri, parse_address(uri).uri)
            db.execute("DELETE FROM notes WHERE name IN (?, ?)", (f"error {uri}", f"asked {uri}"))
        if uris:
            _clean_texts(db)
            db.execute("INSERT OR REPLACE INTO notes VALUES (?, '')", (_UNFINISHED,))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    for uri in uris:
        _remove_lock(lock_file(home, uri))


def _move_runs(db: sqlite3.Connection, uri: str, clean: str) -> None:
    """Give the runs of `uri` the URI without the login."""
    for run, key in db.execute("SELECT id, key FROM runs WHERE uri = ? ORDER BY id", (uri,)).fetchall():
        same = db.execute("SELECT id FROM runs WHERE uri = ? AND key = ?", (clean, key)).fetchone()
        if same is not None:
            older = min(run, same[0])
            db.execute("UPDATE runs SET key = ? WHERE id = ?", (_free_key(db, uri, clean, key), older))
        db.execute("UPDATE runs SET uri = ? WHERE id = ?", (clean, run))


def _free_key(db: sqlite3.Connection, uri: str, clean: str, key: str) -> str:
    number = 1
    while db.execute(
        "SELECT 1 FROM runs WHERE uri IN (?, ?) AND key = ?", (uri, clean, f"{key}~{number}")
    ).fetchone():
        number += 1
    return f"{key}~{number}"


def _clean_texts(db: sqlite3.Connection) -> None:
    for table, row_id, columns, which in _TEXTS:
        for row, *texts in db.execute(f"SELECT {row_id}, {columns} FROM {table} WHERE {which}").fetchall():
            _clean_row(db, table, row_id, row, dict(zip(columns.split(", "), texts, strict=True)))
    for name, value in db.execute("SELECT name, value FROM notes").fetchall():
        db.execute("UPDATE notes SET value = ? WHERE name = ?", (redact_values(value), name))
    for run, name, value in db.execute("SELECT run, name, value FROM params").fetchall():
        db.execute(
            "UPDATE params SET value = ? WHERE run = ? AND name = ?", (redact_values(value), run, name)
        )


def _clean_row(db: sqlite3.Connection, table: str, row_id: str, row: int, texts: dict[str, Any]) -> None:
    for column, text in texts.items():
        public = _public(text)
        if public != text:
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {row_id} = ?", (public, row))


def _public(text: str | None) -> str | None:
    """A text, or each text of a JSON document, without secrets."""
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return str(redact_values(text))
    public = redact_values(document)
    return text if public == document else json.dumps(public)


def _overwrite(db: sqlite3.Connection) -> None:
    """Write the database anew and empty its log, so that no deleted byte stays on the disk.

    Not possible while another process reads or writes; the next one that opens the outbox tries again.
    """
    waits: Sequence[int] = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    with suppress(sqlite3.OperationalError):
        db.execute("VACUUM")
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            db.execute("DELETE FROM notes WHERE name = ?", (_UNFINISHED,))
    db.execute(f"PRAGMA busy_timeout = {waits[0]}")


def _remove_lock(file: Path) -> None:
    """Remove a lock whose name contains a login, unless a process of release 0.1 still holds it."""
    if file.exists():
        lock = ProcessLock(file)
        if lock.take():
            file.unlink(missing_ok=True)
            lock.release()
