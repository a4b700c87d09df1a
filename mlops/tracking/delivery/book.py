"""The outbox for delivery: pending entries and delivery states."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlops.tracking.outbox.entries import EntryKind, EntryState, OutboxCounts, OutboxEntry, Rejected, RunRow
from mlops.tracking.outbox.recorder import ENTRY_COLUMNS, RUN_COLUMNS, Outbox, as_entry, as_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MARKS = "delivery's marks"


class DeliveryBook(Outbox):
    """Pending entries of each store, and for each entry whether it was delivered, rejected or failed."""

    def waiting_runs(self, uri: str) -> list[RunRow]:
        """Runs not yet created in the store or with pending entries, oldest first: parents before
        children.
        """
        sql = (
            f"SELECT {RUN_COLUMNS} FROM runs WHERE uri = ? AND (mlflow_id IS NULL"
            " OR EXISTS (SELECT 1 FROM entries WHERE state = 0 AND run = runs.id)) ORDER BY id"
        )
        return [as_run(row) for row in self._all(sql, (uri,))]

    def waiting_entries(
        self, run: int, kinds: Sequence[EntryKind], tried: bool, limit: int
    ) -> list[OutboxEntry]:
        """Pending entries that never failed; or, if `tried`, those that failed, fewest failures first."""
        marks = ", ".join("?" * len(kinds))
        sql = (
            f"SELECT {ENTRY_COLUMNS} FROM entries WHERE state = 0 AND run = ?"
            f" AND attempts {'> 0' if tried else '= 0'} AND kind IN ({marks}) ORDER BY attempts, seq LIMIT ?"
        )
        return [as_entry(row) for row in self._all(sql, (run, *(k.value for k in kinds), limit))]

    def pending(self, uri: str) -> int:
        """Number of pending entries as in `counts`, but fast for a long record."""
        sql = (
            "SELECT (SELECT count(*) FROM runs WHERE uri = ?1 AND mlflow_id IS NULL)"
            " + (SELECT count(*) FROM entries"
            " WHERE state = 0 AND run IN (SELECT id FROM runs WHERE uri = ?1))"
        )
        return int(self._all(sql, (uri,))[0][0])

    def counts(self, uri: str | None = None) -> OutboxCounts:
        """Entries in each state; a run that does not exist on the server yet counts as one pending."""
        where, values = ("WHERE uri = ?", (uri,)) if uri is not None else ("", ())
        sql = f"SELECT state, count(*) FROM entries JOIN runs ON runs.id = entries.run {where} GROUP BY state"
        by_state = dict(self._all(sql, values))
        unmade = self._all(
            f"SELECT count(*) FROM runs {where}{' AND' if where else 'WHERE'} mlflow_id IS NULL", values
        )[0][0]
        return OutboxCounts(
            by_state.get(EntryState.PENDING, 0) + unmade,
            by_state.get(EntryState.REJECTED, 0),
            by_state.get(EntryState.DELIVERED, 0),
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
        """Runs that cannot be created on the server, with the reason."""
        sql = (
            "SELECT key, blocked FROM runs WHERE uri = ? AND blocked <> '' AND mlflow_id IS NULL ORDER BY id"
        )
        return [(key, reason) for key, reason in self._all(sql, (uri,))]

    def note(self, name: str) -> str | None:
        found = self._all("SELECT value FROM notes WHERE name = ?", (name,))
        return found[0][0] if found else None

    def set_note(self, name: str, value: str) -> None:
        self._write(_MARKS, "INSERT OR REPLACE INTO notes VALUES (?, ?)", [(name, value)])

    def mark_delivered(self, seqs: Iterable[int]) -> None:
        self._write(
            _MARKS, "UPDATE entries SET state = 1, reason = NULL WHERE seq = ?", [(seq,) for seq in seqs]
        )

    def mark_rejected(self, seq: int, reason: str) -> None:
        self._write(_MARKS, "UPDATE entries SET state = 2, reason = ? WHERE seq = ?", [(reason, seq)])

    def mark_failed(self, seqs: Iterable[int], reason: str) -> None:
        """Note a failed attempt; the entries stay pending."""
        self._write(
            _MARKS,
            "UPDATE entries SET attempts = attempts + 1, reason = ? WHERE seq = ?",
            [(reason, s) for s in seqs],
        )

    def reject_part(self, seq: int, part: Any, reason: str) -> None:
        """Reject only `part` of an entry's payload; the rest has been delivered."""
        self._write(
            _MARKS,
            "UPDATE entries SET state = 2, payload = ?, reason = ? WHERE seq = ?",
            [(json.dumps(part), reason, seq)],
        )

    def reject_waiting(self, run: int, reason: str) -> None:
        """Reject all pending entries of a run that no longer exists."""
        self._write(
            _MARKS, "UPDATE entries SET state = 2, reason = ? WHERE state = 0 AND run = ?", [(reason, run)]
        )

    def set_memo(self, seq: int, memo: Mapping[str, Any]) -> None:
        self._write(_MARKS, "UPDATE entries SET memo = ? WHERE seq = ?", [(json.dumps(dict(memo)), seq)])

    def mark_create_tried(self, run: int) -> None:
        self._write(_MARKS, "UPDATE runs SET create_tried = 1 WHERE id = ?", [(run,)])

    def mark_made(self, run: int, mlflow_id: str, experiment_id: str) -> None:
        self._write(
            _MARKS,
            "UPDATE runs SET mlflow_id = ?, experiment_id = ?, blocked = NULL WHERE id = ?",
            [(mlflow_id, experiment_id, run)],
        )

    def mark_blocked(self, run: int, reason: str) -> None:
        self._write(_MARKS, "UPDATE runs SET blocked = ? WHERE id = ?", [(reason, run)])

    def retry_rejected(self, uri: str | None = None) -> int:
        """Make rejected entries pending again; returns their number."""
        with self._transaction(_MARKS) as db:
            return db.execute(
                "UPDATE entries SET state = 0, attempts = 0 WHERE state = 2"
                " AND (?1 IS NULL OR run IN (SELECT id FROM runs WHERE uri = ?1))",
                (uri,),
            ).rowcount

    def spooled(self) -> set[str]:
        """Spool folders of undelivered entries."""
        rows = self._all(
            "SELECT payload FROM entries"
            " WHERE kind <> 'metrics' AND kind IN ('artifact', 'model') AND state <> 1"
        )
        return {json.loads(payload)["spool"].split("/")[0] for (payload,) in rows}


def _what(kind: str, step: int, payload: Any) -> str:
    if kind == EntryKind.METRICS.value:
        return f"step {step}: {', '.join(payload)}"
    if kind in (EntryKind.PARAMS.value, EntryKind.TAGS.value):
        return ", ".join(payload)
    return str(payload.get("path") or payload.get("name") or payload.get("status"))
