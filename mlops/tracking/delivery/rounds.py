"""One round of delivery over all runs with pending entries."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops.store.client import client_for
from mlops.store.refusals import Meaning, in_words, is_missing, meaning_of
from mlops.tracking.delivery.metric_delivery import MAX_BYTES, MetricDelivery
from mlops.tracking.delivery.model_delivery import ModelDelivery
from mlops.tracking.delivery.sending import (
    Blocked,
    make_run,
    newest_tags,
    send_artifact,
    send_dataset,
    send_status,
)
from mlops.tracking.outbox.entries import QUICK, EntryKind, OutboxEntry, RunRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlflow import MlflowClient

    from mlops.tracking.delivery.book import DeliveryBook

MAX_PARAMS = 100
_ROWS_AT_ONCE = 2000
_FAILURES_IN_A_ROW = 5  # after these the store counts as unavailable
_SLOW = (EntryKind.DATASET, EntryKind.ARTIFACT, EntryKind.MODEL, EntryKind.STATUS)


@dataclass(frozen=True, slots=True)
class RoundReport:
    """error: why an entry could not be delivered, None if all were delivered."""

    delivered: int
    error: str | None


class StoreAway(Exception):
    """The store is unavailable; the message is the reason in one line."""


class RetryPause(Exception):
    """Send no more entries of this kind to this run in this round; others continue."""


class RunGone(Exception):
    """The run was deleted in the store."""


class Round:
    """Delivers until nothing is left to try, the store is unavailable, or `stopped` returns True."""

    def __init__(self, outbox: DeliveryBook, uri: str, stopped: Callable[[], bool]) -> None:
        self._outbox, self._uri, self._stopped = outbox, uri, stopped
        self._client: MlflowClient = client_for(uri)
        self._delivered = 0
        self._error: str | None = None
        self._failures = 0  # consecutive
        self._failed: set[int] = set()  # entries that failed; each is tried once in a round

    def run(self) -> RoundReport:
        try:
            for row in self._outbox.waiting_runs(self._uri):
                if self._stopped():
                    break
                self._deliver_run(row)
        except StoreAway as away:
            return RoundReport(self._delivered, str(away))
        return RoundReport(self._delivered, self._error)

    def _deliver_run(self, row: RunRow) -> None:
        if row.mlflow_id is None:
            if not self._make(row):
                return
            row = self._outbox.run(row.id)
        try:
            self._deliver_entries(row, str(row.mlflow_id))
        except RunGone as gone:
            self._outbox.reject_waiting(row.id, str(gone))

    def _deliver_entries(self, row: RunRow, run_id: str) -> None:
        """Send the run's pending entries, first those that never failed, so that failures block nothing."""
        for tried in (False, True):
            for deliver in (self._deliver_all_quick, self._deliver_all_slow):
                with suppress(RetryPause):
                    deliver(row, run_id, tried)

    def _deliver_all_quick(self, row: RunRow, run_id: str, tried: bool) -> None:
        while waiting := self._waiting(row, QUICK, tried):
            self._deliver_quick(run_id, waiting)

    def _deliver_all_slow(self, row: RunRow, run_id: str, tried: bool) -> None:
        for entry in self._waiting(row, _SLOW, tried):
            if self._stopped():
                return
            self._attempt([entry], partial(self._deliver_slow, row, run_id, entry))

    def _waiting(self, row: RunRow, kinds: Sequence[EntryKind], tried: bool) -> list[OutboxEntry]:
        """The next entries to send, without those that failed in this round; none after a stop."""
        if self._stopped():
            return []
        found = self._outbox.waiting_entries(row.id, kinds, tried, _ROWS_AT_ONCE + len(self._failed))
        return [entry for entry in found if entry.seq not in self._failed]

    def _make(self, row: RunRow) -> bool:
        """Create the run in the store; False if that is not possible now."""
        try:
            make_run(self._client, self._outbox, self._uri, row)
        except Blocked as blocked:
            reason = str(blocked)
        except Exception as error:
            if meaning_of(error) is Meaning.AWAY:
                raise StoreAway(in_words(error, self._uri)) from error
            reason = in_words(error, self._uri)
        else:
            return True
        self._outbox.mark_blocked(row.id, reason)
        self._error = self._error or f"run {row.key}: {reason}"
        return False

    # entries sent by log_batch

    def _deliver_quick(self, run_id: str, entries: Sequence[OutboxEntry]) -> None:
        tags = [entry for entry in entries if entry.kind is EntryKind.TAGS]
        together = [entry for entry in tags if not entry.attempts]
        for group in [together] if together else [[entry] for entry in tags]:
            self._attempt(group, partial(self._send_tags, run_id, group))
        for entry in entries:
            if entry.kind is EntryKind.PARAMS:
                self._attempt([entry], partial(self._send_params, run_id, entry))
        metrics = [entry for entry in entries if entry.kind is EntryKind.METRICS]
        MetricDelivery(self._client, self._outbox, run_id).deliver(metrics, self._after, self._stopped)

    def _send_tags(self, run_id: str, entries: list[OutboxEntry]) -> None:
        from mlflow.entities import RunTag

        newest = list(newest_tags(self._outbox, entries).items())
        for part in _parts(newest):
            self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in part])

    def _send_params(self, run_id: str, entry: OutboxEntry) -> None:
        """Send params; an adopted run keeps its existing values."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        def send(params: dict[str, str]) -> None:
            for part in _parts(list(params.items())):
                self._client.log_batch(run_id, params=[Param(name, value) for name, value in part])

        try:
            send(entry.payload)
        except MlflowException as error:
            if meaning_of(error) is not Meaning.REFUSED:
                raise
            there = self._client.get_run(run_id).data.params
            missing = {name: value for name, value in entry.payload.items() if name not in there}
            if missing == entry.payload:
                raise
            send(missing)

    # entries sent one by one

    def _deliver_slow(self, row: RunRow, run_id: str, entry: OutboxEntry) -> None:
        if entry.kind is EntryKind.DATASET:
            send_dataset(self._client, run_id, entry.payload)
        elif entry.kind is EntryKind.ARTIFACT:
            send_artifact(self._client, self._outbox, run_id, entry)
        elif entry.kind is EntryKind.MODEL:
            ModelDelivery(self._client, self._outbox, self._uri, row, entry).deliver()
        else:
            send_status(self._client, self._outbox, run_id, entry)

    # results of an attempt

    def _attempt(self, entries: Sequence[OutboxEntry], send: Callable[[], Any]) -> None:
        """Send, and mark the result. Raises as `_after`."""
        try:
            send()
        except Exception as error:  # noqa: BLE001  sorted by its meaning, none is dropped
            self._after(entries, error)
        else:
            self._after(entries, None)

    def _after(self, entries: Sequence[OutboxEntry], error: Exception | None) -> None:
        """Mark the result of sending `entries`. Raises StoreAway, RunGone and RetryPause."""
        if error is not None:
            self._attempt_failed(entries, error)
            return
        self._outbox.mark_delivered(entry.seq for entry in entries)
        for entry in entries:
            if entry.kind in (EntryKind.ARTIFACT, EntryKind.MODEL):
                self._outbox.spool.drop(entry.payload["spool"])
        self._delivered += len(entries)
        self._failures = 0

    def _attempt_failed(self, entries: Sequence[OutboxEntry], error: Exception) -> None:
        meaning, reason = meaning_of(error), in_words(error, self._uri)
        if isinstance(error, FileNotFoundError):
            meaning, reason = Meaning.REFUSED, f"its file is missing in the spool: {error.filename}"
        if meaning is Meaning.AWAY:
            raise StoreAway(reason) from error
        if meaning is not Meaning.REFUSED:
            self._outbox.mark_failed([entry.seq for entry in entries], reason)
            self._failed.update(entry.seq for entry in entries)
            self._error = self._error or reason
            self._failures += 1
            if meaning is Meaning.DENIED or self._failures >= _FAILURES_IN_A_ROW:
                raise RetryPause
            return
        gone = self._run_gone(entries[0].run)
        if gone is not None:
            raise RunGone(gone) from error
        for entry in entries:
            self._outbox.mark_rejected(entry.seq, reason)

    def _run_gone(self, run: int) -> str | None:
        """Why nothing more can be sent to this run, or None."""
        from mlflow.exceptions import MlflowException

        run_id = str(self._outbox.run(run).mlflow_id)
        try:
            stage = self._client.get_run(run_id).info.lifecycle_stage
        except MlflowException as error:
            return f"run {run_id} is no longer on the server" if is_missing(error) else None
        if stage == "active":
            return None
        back = f"`mlflow runs restore --run-id {run_id}`, then `mlops sync --retry-rejected`"
        return f"run {run_id} was deleted on the server; restore it with {back}"


def _parts(items: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Params or tags in chunks that fit into one request."""
    part: list[tuple[str, str]] = []
    size = 0
    for name, value in items:
        bytes_more = len(json.dumps([name, value])) + 30
        if part and (len(part) >= MAX_PARAMS or size + bytes_more > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append((name, value))
        size += bytes_more
    if part:
        yield part
