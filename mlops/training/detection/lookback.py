"""What an earlier start of the same training left in its folder."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops.training.detection.files import cut_results
from mlops.training.durable import write_durably
from mlops.training.record import Found, Record, read_own

if TYPE_CHECKING:
    from pathlib import Path


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Where one training keeps its things under `out_dir`."""

    out_dir: Path

    @property
    def folder(self) -> Path:
        """What the library writes: arguments, curves, pictures and `weights/`."""
        return self.out_dir / "training"

    @property
    def best(self) -> Path:
        return self.folder / "weights" / "best.pt"

    @property
    def last(self) -> Path:
        return self.folder / "weights" / "last.pt"

    @property
    def record(self) -> Path:
        return self.out_dir / "training.json"


def look_back(places: Places, identity: str) -> Found:
    """Find the checkpoint to go on from, and bring record and curves to its epoch.

    A checkpoint that cannot be read is warned of and started over. Raises StudyMismatch when the folder
    holds a training of another recipe, data set or seed.
    """
    record = read_own(places.record, identity)
    if record is None or not places.last.exists():
        return _anew(places, identity)
    epoch = checkpoint_epoch(places.last)
    if epoch == STRIPPED and record.ended and places.best.exists():
        return Found(replace(record, finished=True))
    if epoch is None or epoch == STRIPPED:
        log.warning("%s is damaged: starting over from epoch 1", places.last)
        return _anew(places, identity)
    record = record.up_to(epoch)
    if record.epochs and record.best().epoch == epoch and checkpoint_epoch(places.best) != epoch:
        write_durably(places.best, places.last.read_bytes())  # a kill came between the two
    cut_results(places.folder / "results.csv", epoch)
    return Found(record, places.last)


STRIPPED = 0


def checkpoint_epoch(file: Path) -> int | None:
    """Epochs done when `file` was written; STRIPPED for final weights without the optimizer; None if
    unreadable.
    """
    from ultralytics.utils.patches import torch_load

    try:
        held = torch_load(file, map_location="cpu")
        return int(held["epoch"]) + 1 if held["optimizer"] is not None else STRIPPED
    except Exception as error:  # noqa: BLE001 - whatever a torn file makes the unpickler raise
        log.debug("%s: %s", file, error)
        return None


def _anew(places: Places, identity: str) -> Found:
    shutil.rmtree(places.folder, ignore_errors=True)
    places.record.unlink(missing_ok=True)
    return Found(Record(identity))
