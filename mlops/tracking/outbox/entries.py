"""Content of the outbox: runs, and for each run a sequence of entries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


SUMMARY = "summary "  # begins the series of metrics of the whole run: `summary test`


class EntryKind(Enum):
    METRICS = "metrics"
    PARAMS = "params"
    TAGS = "tags"
    DATASET = "dataset"
    ARTIFACT = "artifact"
    MODEL = "model"
    STATUS = "status"


QUICK = (EntryKind.METRICS, EntryKind.PARAMS, EntryKind.TAGS)  # sent together by log_batch


class EntryState(IntEnum):
    PENDING = 0
    DELIVERED = 1
    REJECTED = 2


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in the outbox.

    uid: created here once; stored as a tag to find the run on the server.
    parent: row id of the parent run, or None.
    adopt: the id of an existing MLflow run to use, or "".
    create_tried: the server may have created the run, although its answer was lost.
    """

    id: int
    uri: str
    key: str
    uid: str
    experiment: str
    name: str
    parent: int | None
    adopt: str
    tags: Mapping[str, str]
    start_ms: int
    mlflow_id: str | None
    experiment_id: str | None
    create_tried: bool


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One accepted entry of a run.

    uid: set for entries that must be sent to the server only once.
    payload: the logged content; its keys depend on `kind`, see `Run`.
    memo: ids that delivery got from the server, so that a retry can continue.
    """

    seq: int
    run: int
    kind: EntryKind
    series: str | None
    step: int
    at_ms: int
    payload: Any
    uid: str
    memo: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that the server rejected; it is kept, shown, and sent again on request."""

    run_key: str
    kind: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    pending: int
    rejected: int
    delivered: int
