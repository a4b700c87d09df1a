"""The record of a training beside its checkpoints: reports, fitness, and how it ended.

It is written before the checkpoint of the same epoch, so it may be one epoch ahead of the checkpoint but
never behind. The epoch ahead is repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import StudyMismatch
from mlops.files.atomic import write_durably
from mlops.training.protocol import EpochReport
from mlops.training.weights import file_digest

if TYPE_CHECKING:
    from mlops.systems.recipe import AnyRecipe
    from mlops.training.protocol import TrainConfig


@dataclass(frozen=True, slots=True)
class DoneEpoch:
    """An epoch's report and its fitness, which selects the best weights.

    fitness: val/mAP50-95 of a detector, val/macro_f1 of a classifier.
    """

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    images: int
    fitness: float


@dataclass(frozen=True, slots=True)
class Record:
    """`identity`: digest of recipe and data; `ended`: "" while epochs remain."""

    identity: str
    parameters: int = 0
    epochs: tuple[DoneEpoch, ...] = field(default=())
    ended: str = ""
    finished: bool = False

    def with_epoch(self, report: EpochReport, fitness: float, ended: str) -> Record:
        """This record with one more epoch; replaces epochs of the same or a higher number."""
        done = DoneEpoch(report.epoch, dict(report.metrics), report.seconds, report.images, fitness)
        return replace(self, epochs=(*self.up_to(report.epoch - 1).epochs, done), ended=ended)

    def up_to(self, epoch: int) -> Record:
        """This record up to `epoch`."""
        kept = tuple(done for done in self.epochs if done.epoch <= epoch)
        return self if kept == self.epochs else replace(self, epochs=kept, ended="", finished=False)

    def best(self) -> DoneEpoch:
        """The epoch with the highest fitness, the latest of equals."""
        return max(self.epochs, key=lambda done: (done.fitness, done.epoch))


@dataclass(frozen=True, slots=True)
class EarlierTraining:
    """State of an earlier start. `checkpoint` None: start from epoch 1. `record.finished`: nothing to do."""

    record: Record
    checkpoint: Path | None = None


def identity_of(config: TrainConfig[AnyRecipe]) -> str:
    """Digest of recipe (without the number of workers), data, seed and the content of a file of initial
    weights.
    """
    said = [
        config.recipe.of_identity(),
        config.dataset.identity.digest,
        config.seed,
    ]
    if weights := file_digest(config.recipe.weights):
        said.append(weights)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_record(file: Path) -> Record | None:
    """The record in `file`; None if it is missing or unreadable."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return Record(**{**held, "epochs": tuple(DoneEpoch(**done) for done in held["epochs"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def read_own(file: Path, identity: str) -> Record | None:
    """The record in `file`. Raises StudyMismatch if its identity is not `identity`."""
    record = read_record(file)
    if record is not None and record.identity != identity:
        raise StudyMismatch(
            f"{file.parent} has a training of another recipe, data set or seed; use another folder"
        )
    return record


def write_record(file: Path, record: Record) -> None:
    write_durably(file, json.dumps(asdict(record)).encode())
