"""What the outbox holds: runs, and for each run a sequence of entries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class EntryKind(Enum):
    METRICS = "metrics"
    PARAMS = "params"
    TAGS = "tags"
    DATASET = "dataset"
    ARTIFACT = "artifact"
    MODEL = "model"
    STATUS = "status"


QUICK = (EntryKind.METRICS, EntryKind.PARAMS, EntryKind.TAGS)  # these travel together in log_batch


class EntryState(IntEnum):
    PENDING = 0
    DELIVERED = 1
    REJECTED = 2


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the outbox knows it.

    uid: made here once; the tag by which a run that the server made is found again.
    parent: row id of the parent run, or None.
    adopt: an MLflow run that exists already and is to be this one, or "".
    create_tried: the server may have made the run though we never saw its answer.
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
    """One accepted fact of a run.

    uid: set for what the server must be given once only.
    payload: what was logged; its keys depend on `kind`, see `Run`.
    memo: what delivery has already got from the server (ids), so that a retry goes on from there.
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
    """An entry that the server refused for what it is: kept, shown, and given again on request."""

    run_key: str
    kind: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    pending: int
    rejected: int
    delivered: int
