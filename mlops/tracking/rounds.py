"""One round of delivery: every run that waits, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.tracking.answers import Meaning, in_words, meaning_of
from mlops.tracking.entries import QUICK, Entry, Kind, RunRow
from mlops.tracking.models import ModelDelivery
from mlops.tracking.outbox import Outbox
from mlops.tracking.sending import (
    Blocked,
    make_run,
    metrics_of,
    newest_tags,
    send_artifact,
    send_dataset,
    send_status,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MAX_METRICS, MAX_PARAMS, MAX_BYTES = 1000, 100, 900_000  # MLflow's own limit is 1 MB
_ROWS_AT_ONCE = 2000
_FAILURES_IN_A_ROW = 5
_SLOW = (Kind.DATASET, Kind.ARTIFACT, Kind.MODEL, Kind.STATUS)


@dataclass(frozen=True, slots=True)
class RoundReport:
    """error: why something that waits could not be delivered, None if all went."""

    delivered: int
    error: str | None


class StoreAway(Exception):
    """The store cannot be used now; the message says why in one line."""


class Round:
    """Delivers until nothing is left to try, the store is away, or `stopped` says so."""

    def __init__(self, outbox: Outbox, uri: str, stopped: Callable[[], bool]) -> None:
        from mlflow import MlflowClient

        self._outbox, self._uri, self._stopped = outbox, uri, stopped
        self._client: MlflowClient = MlflowClient(uri, registry_uri=uri)
        self._delivered = 0
        self._error: str | None = None
        self._failures = 0

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
        run_id = str(row.mlflow_id)
        tried: set[int] = set()
        while not self._stopped():
            waiting = self._outbox.waiting_entries(row.id, QUICK, _ROWS_AT_ONCE)
            fresh = [entry for entry in waiting if entry.seq not in tried]
            if not fresh:
                break
            tried.update(entry.seq for entry in fresh)
            self._deliver_quick(run_id, fresh)
        for entry in self._outbox.waiting_entries(row.id, _SLOW, -1):
            if self._stopped():
                return
            self._attempt([entry], lambda entry=entry: self._deliver_slow(row, run_id, entry))

    def _make(self, row: RunRow) -> bool:
        """Have the run made on the store; False where that cannot be for now."""
        try:
            make_run(self._client, self._outbox, self._uri, row)
        except Blocked as blocked:
            reason = str(blocked)
        except Exception as error:  # noqa: BLE001  whatever a store's client raises is sorted here
            if meaning_of(error) is Meaning.AWAY:
                raise StoreAway(in_words(error, self._uri)) from error
            reason = in_words(error, self._uri)
            self._count_failure(reason)
        else:
            return True
        self._outbox.mark_blocked(row.id, reason)
        self._error = self._error or f"run {row.key}: {reason}"
        return False

    # -- what travels in log_batch --------------------------------------------------------------------

    def _deliver_quick(self, run_id: str, entries: Sequence[Entry]) -> None:
        tags = [entry for entry in entries if entry.kind is Kind.TAGS]
        if tags:
            self._attempt(tags, lambda: self._send_tags(run_id, tags))
        for entry in entries:
            if entry.kind is Kind.PARAMS:
                self._attempt([entry], lambda entry=entry: self._send_params(run_id, entry))
        for batch, complete in _metric_batches([entry for entry in entries if entry.kind is Kind.METRICS]):
            self._attempt(complete, lambda batch=batch: self._client.log_batch(run_id, metrics=batch))
            if self._stopped():
                return

    def _send_tags(self, run_id: str, entries: list[Entry]) -> None:
        from mlflow.entities import RunTag

        newest = list(newest_tags(self._outbox, entries).items())
        for part in _parts(newest):
            self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in part])

    def _send_params(self, run_id: str, entry: Entry) -> None:
        """Send params; those that an adopted run has already with other values stay as they are there."""
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

    # -- what travels alone ---------------------------------------------------------------------------

    def _deliver_slow(self, row: RunRow, run_id: str, entry: Entry) -> None:
        if entry.kind is Kind.DATASET:
            send_dataset(self._client, run_id, entry.payload)
        elif entry.kind is Kind.ARTIFACT:
            send_artifact(self._client, self._outbox, run_id, entry)
        elif entry.kind is Kind.MODEL:
            ModelDelivery(self._client, self._outbox, self._uri, row, entry).deliver()
        else:
            send_status(self._client, self._outbox, run_id, entry)

    # -- what becomes of an attempt -------------------------------------------------------------------

    def _attempt(self, entries: Sequence[Entry], send: Callable[[], Any]) -> None:
        """Send, and mark what came of it. Raises StoreAway."""
        try:
            send()
        except Exception as error:  # noqa: BLE001  whatever a store's client raises is sorted here
            self._attempt_failed(entries, error)
        else:
            self._outbox.mark_delivered(entry.seq for entry in entries)
            for entry in entries:
                if entry.kind in (Kind.ARTIFACT, Kind.MODEL):
                    self._outbox.spool.drop(entry.payload["spool"])
            self._delivered += len(entries)
            self._failures = 0

    def _attempt_failed(self, entries: Sequence[Entry], error: Exception) -> None:
        meaning, reason = meaning_of(error), in_words(error, self._uri)
        if isinstance(error, FileNotFoundError):
            meaning, reason = Meaning.REFUSED, f"its file is gone from the spool: {error.filename}"
        if meaning is Meaning.AWAY:
            raise StoreAway(reason) from error
        if meaning is Meaning.FAILED:
            self._outbox.mark_failed([entry.seq for entry in entries], reason)
            self._error = self._error or reason
            self._count_failure(reason)
        else:
            for entry in entries:
                self._outbox.mark_rejected(entry.seq, reason)

    def _count_failure(self, reason: str) -> None:
        """Many failures in a row say that it is the store and not what it is given."""
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            raise StoreAway(reason)


def _metric_batches(entries: Sequence[Entry]) -> Iterator[tuple[list[Metric], list[Entry]]]:
    """Metrics in batches as large as MLflow takes, each with the entries that are complete once it is there."""
    batch: list[Metric] = []
    complete: list[Entry] = []
    size = 0
    for entry in entries:
        for metric in metrics_of(entry):
            bytes_more = len(json.dumps(metric.key)) + 120
            if len(batch) >= MAX_METRICS or size + bytes_more > MAX_BYTES:
                yield batch, complete
                batch, complete, size = [], [], 0
            batch.append(metric)
            size += bytes_more
        complete.append(entry)
    if complete:
        yield batch, complete


def _parts(items: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Params or tags in the portions that one request may hold."""
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
