"""Where one training keeps its things, and what an earlier start of it left there."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mlops.training.record import Found, Record, read_own

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    out_dir: Path

    @property
    def record(self) -> Path:
        return self.out_dir / "training.json"

    @property
    def checkpoint(self) -> Path:
        return self.out_dir / "last.ckpt"

    @property
    def weights(self) -> Path:
        return self.out_dir / "weights"

    @property
    def best(self) -> Path:
        return self.weights / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.weights / "last.safetensors"

    @property
    def drawings(self) -> Path:
        return self.out_dir / "training"

    def artifacts(self) -> dict[Path, str]:
        """Every file worth keeping, to the artifact folder it belongs in."""
        drawn = sorted(path for path in self.drawings.iterdir() if path.is_file())
        return {**dict.fromkeys(drawn, "training"), self.best: "weights", self.last: "weights"}

    def best_of(self, epoch: int) -> Path:
        """Kept beside the best before it until the epoch's checkpoint is in place: a kill between the two
        would otherwise leave a best that no checkpoint knows of.
        """
        return self.weights / f"best-{epoch}.safetensors"


def look_back(places: Places, identity: str) -> Found:
    """Find the checkpoint to go on from, and bring the record to its epoch.

    A checkpoint that cannot be read is warned of and started over. Raises StudyMismatch when the folder
    holds a training of another recipe, data set or seed.
    """
    record = read_own(places.record, identity)
    if record is not None and record.finished and places.best.exists():
        return Found(record)
    if record is None or not places.checkpoint.exists():
        return _anew(places, identity)
    epoch = _epochs_in(places.checkpoint)
    if epoch is None:
        log.warning("%s is damaged: starting over from epoch 1", places.checkpoint)
        return _anew(places, identity)
    record = record.up_to(epoch)
    best = places.best_of(record.best().epoch)
    if not best.exists() and not (record.ended and places.best.exists()):
        log.warning("%s is gone: starting over from epoch 1", best)
        return _anew(places, identity)
    return Found(record, places.checkpoint)


def _epochs_in(checkpoint: Path) -> int | None:
    """Epochs done when it was written; None where it cannot be read."""
    try:
        held: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return int(held["epoch"]) + 1
    except Exception as error:  # noqa: BLE001 - whatever a torn file makes torch raise
        log.debug("%s: %s", checkpoint, error)
        return None


def _anew(places: Places, identity: str) -> Found:
    shutil.rmtree(places.weights, ignore_errors=True)
    shutil.rmtree(places.drawings, ignore_errors=True)
    places.checkpoint.unlink(missing_ok=True)
    places.record.unlink(missing_ok=True)
    return Found(Record(identity))
