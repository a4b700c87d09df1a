"""Send metrics of one run in batches as large as MLflow allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from mlops.store.names import entity_names
from mlops.store.refusals import Meaning, in_words, meaning_of
from mlops.tracking.outbox.entries import OutboxEntry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from mlops.tracking.delivery.book import DeliveryBook

MAX_METRICS, MAX_BYTES = 1000, 900_000  # MLflow's own limits are 1000 and 1 MB
_BYTES_BESIDE_NAME = 120

After = Callable[[Sequence[OutboxEntry], Exception | None], None]
Batch = list[tuple[OutboxEntry, "Metric"]]


class MetricDelivery:
    """Sends metric entries. A rejected one is divided, so that only its invalid part is kept as rejected."""

    def __init__(self, client: MlflowClient, outbox: DeliveryBook, run_id: str) -> None:
        self._client, self._outbox, self._run_id = client, outbox, run_id

    def deliver(self, entries: Sequence[OutboxEntry], after: After, stopped: Callable[[], bool]) -> None:
        """Send all; `after` gets the result of each group of entries and may raise to stop."""
        open_until = {entry.seq: len(entry.payload) for entry in entries}
        spoilt: set[int] = set()  # entries that failed in part, or were handled alone
        after([entry for entry in entries if not entry.payload], None)
        for batch in _batches(entries):
            for entry, _ in batch:
                open_until[entry.seq] -= 1
            touched = list({entry.seq: entry for entry, _ in batch}.values())
            try:
                self._client.log_batch(self._run_id, metrics=[metric for _, metric in batch])
            except Exception as error:  # noqa: BLE001  sorted by its meaning, none is dropped
                if _is_of_one(meaning_of(error), touched):
                    for entry in touched:
                        if entry.seq not in spoilt:
                            self._deliver_alone(entry, after)
                else:
                    after(touched, error)
                spoilt.update(entry.seq for entry in touched)
            else:
                after([e for e in touched if not open_until[e.seq] and e.seq not in spoilt], None)
            if stopped():
                return

    def _deliver_alone(self, entry: OutboxEntry, after: After) -> None:
        metrics = list(metrics_of(entry))
        try:
            for start in range(0, len(metrics), MAX_METRICS):
                self._client.log_batch(self._run_id, metrics=metrics[start : start + MAX_METRICS])
        except Exception as error:  # noqa: BLE001  sorted by its meaning, none is dropped
            if meaning_of(error) is not Meaning.REFUSED or len(metrics) == 1:
                after([entry], error)
            else:
                self._deliver_singly(entry, metrics, after)
        else:
            after([entry], None)

    def _deliver_singly(self, entry: OutboxEntry, metrics: Sequence[Metric], after: After) -> None:
        refused: dict[str, float] = {}
        reason = ""
        for (name, value), metric in zip(entry.payload.items(), metrics, strict=True):
            try:
                self._client.log_batch(self._run_id, metrics=[metric])
            except Exception as error:  # noqa: BLE001  sorted by its meaning, none is dropped
                if meaning_of(error) is not Meaning.REFUSED:
                    after([entry], error)
                    return
                refused[name] = value
                reason, last = in_words(error, self._run_id), error
        if len(refused) == len(metrics):
            after([entry], last)
        elif refused:
            self._outbox.reject_part(entry.seq, refused, reason)
        else:
            after([entry], None)


def _is_of_one(meaning: Meaning, batch: Sequence[OutboxEntry]) -> bool:
    """Whether a batch may have failed because of one invalid entry, so that each must be sent alone."""
    failed_again = meaning is Meaning.FAILED and len(batch) > 1 and all(entry.attempts for entry in batch)
    return meaning is Meaning.REFUSED or failed_again


def metrics_of(entry: OutboxEntry) -> Iterator[Metric]:
    from mlflow.entities import Metric

    for name, value in zip(_names(tuple(entry.payload)), entry.payload.values(), strict=True):
        yield Metric(name, value, entry.at_ms, entry.step)


@lru_cache(maxsize=256)
def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    """MLflow's names for the names of one row; cached, as most rows of a run have the same."""
    return tuple(entity_names(given).values())


@lru_cache(maxsize=4096)
def _size_bytes(name: str) -> int:
    return len(json.dumps(name)) + _BYTES_BESIDE_NAME


def _batches(entries: Sequence[OutboxEntry]) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for entry in entries:
        for metric in metrics_of(entry):
            bytes_more = _size_bytes(metric.key)
            if len(batch) >= MAX_METRICS or size + bytes_more > MAX_BYTES:
                yield batch
                batch, size = [], 0
            batch.append((entry, metric))
            size += bytes_more
    if batch:
        yield batch
