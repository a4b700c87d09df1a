"""What a training has done, on disk beside its checkpoints: the reports, the fitness, and how it ended.

Written before the checkpoint of the same epoch is put in place. A record may therefore be one epoch ahead
of the checkpoint, never behind it; the epoch ahead is done again.
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
    """An epoch's report and its fitness, by which the best weights are chosen.

    fitness: val/mAP50-95 of a detector, val/macro_f1 of a classifier.
    """

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    images: int
    fitness: float


@dataclass(frozen=True, slots=True)
class Record:
    """`identity` says which recipe and data it belongs to; `ended` is "" while epochs are still to come."""

    identity: str
    parameters: int = 0
    epochs: tuple[DoneEpoch, ...] = field(default=())
    ended: str = ""
    finished: bool = False

    def with_epoch(self, report: EpochReport, fitness: float, ended: str) -> Record:
        """This record with one more epoch; one of the same number or later is replaced."""
        done = DoneEpoch(report.epoch, dict(report.metrics), report.seconds, report.images, fitness)
        return replace(self, epochs=(*self.up_to(report.epoch - 1).epochs, done), ended=ended)

    def up_to(self, epoch: int) -> Record:
        """This record as it was when `epoch` was the last one done."""
        kept = tuple(done for done in self.epochs if done.epoch <= epoch)
        return self if kept == self.epochs else replace(self, epochs=kept, ended="", finished=False)

    def best(self) -> DoneEpoch:
        """The epoch whose weights are the best: the highest fitness, the later one of equals."""
        return max(self.epochs, key=lambda done: (done.fitness, done.epoch))


@dataclass(frozen=True, slots=True)
class EarlierTraining:
    """What an earlier start left. `checkpoint` None: start anew. `record.finished`: nothing is left to do."""

    record: Record
    checkpoint: Path | None = None


def identity_of(config: TrainConfig[AnyRecipe]) -> str:
    """Digest of all that makes two trainings the same one: recipe, data, seed, and the content of a file that
    the first weights come from; not the loading processes.
    """
    said = [
        config.recipe.model_dump(exclude={"workers", "cache"}),
        config.dataset.identity.digest,
        config.seed,
    ]
    if weights := file_digest(config.recipe.weights):
        said.append(weights)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_record(file: Path) -> Record | None:
    """The record in `file`; None where there is none, or none that can be read."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return Record(**{**held, "epochs": tuple(DoneEpoch(**done) for done in held["epochs"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def read_own(file: Path, identity: str) -> Record | None:
    """The record in `file`, if that is of the training `identity`. Raises StudyMismatch for another's."""
    record = read_record(file)
    if record is not None and record.identity != identity:
        raise StudyMismatch(
            f"{file.parent} holds a training of another recipe, data set or seed; train in another folder"
        )
    return record


def write_record(file: Path, record: Record) -> None:
    write_durably(file, json.dumps(asdict(record)).encode())
