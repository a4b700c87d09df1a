"""What an earlier start of the same training left: checkpoints and Ultralytics' own files."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops.errors import UnsafeWeights
from mlops.files.atomic import write_durably
from mlops.training.checkpoint_reader import read_checkpoint
from mlops.training.training_record import EarlierTraining, Record, read_own

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorFiles:
    """Files of one training under `out_dir`."""

    out_dir: Path

    @property
    def folder(self) -> Path:
        """The library's folder: arguments, curves, images and `weights/`."""
        return self.out_dir / "training"

    @property
    def best(self) -> Path:
        return self.folder / "weights" / "best.pt"

    @property
    def last(self) -> Path:
        return self.folder / "weights" / "last.pt"

    @property
    def resumed_from(self) -> Path:
        """What Ultralytics goes on from: `last`, read as data and made anew."""
        return self.folder / "weights" / ".resumed.pt"

    @property
    def record(self) -> Path:
        return self.out_dir / "training.json"


def look_back(places: DetectorFiles, identity: str) -> EarlierTraining:
    """Find the checkpoint to resume from, and cut record and curves to its epoch.

    Starts over with a warning if the checkpoint is unreadable. Raises StudyMismatch if the folder has a
    training of another recipe, data set or seed.
    """
    record = read_own(places.record, identity)
    if record is None or not places.last.exists():
        return _anew(places, identity)
    epoch = checkpoint_epoch(places.last)
    if epoch == STRIPPED and record.ended and places.best.exists():
        return EarlierTraining(replace(record, finished=True))
    if epoch is None or epoch == STRIPPED:
        log.warning("%s is damaged; restarting from epoch 1", places.last)
        return _anew(places, identity)
    record = record.up_to(epoch)
    if record.epochs and record.best().epoch == epoch and checkpoint_epoch(places.best) != epoch:
        write_durably(places.best, places.last.read_bytes())  # killed between the two moves
    cut_results(places.folder / "results.csv", epoch)
    return EarlierTraining(record, places.last)


STRIPPED = 0


def checkpoint_epoch(file: Path) -> int | None:
    """Epochs done when `file` was written; STRIPPED for final weights without the optimizer; None if
    unreadable.
    """
    try:
        held = read_checkpoint(file)
        return int(held["epoch"]) + 1 if held["optimizer"] is not None else STRIPPED
    except (UnsafeWeights, OSError, KeyError, TypeError, ValueError) as error:
        log.debug("%s: %s", file, error)
        return None


def _anew(places: DetectorFiles, identity: str) -> EarlierTraining:
    shutil.rmtree(places.folder, ignore_errors=True)
    places.record.unlink(missing_ok=True)
    return EarlierTraining(Record(identity))


WEIGHTS = "weights"


def cut_results(results: Path, last_epoch: int) -> None:
    """Delete the rows of `results.csv` after `last_epoch`, so that a repeated epoch has one row."""
    if not results.exists():
        return
    rows = list(csv.reader(io.StringIO(results.read_text(encoding="utf-8"))))
    kept = rows[:1] + [row for row in rows[1:] if _epoch_of(row) <= last_epoch]
    if kept != rows:
        write_durably(results, "".join(",".join(row) + "\n" for row in kept).encode())


def _epoch_of(row: list[str]) -> float:
    try:
        return float(row[0])
    except (IndexError, ValueError):
        return float("inf")  # a row truncated by a kill; its epoch is repeated


def kept_files(folder: Path, under: str) -> dict[Path, str]:
    """Files to keep in a folder of the library, each with its artifact folder."""
    wait_for_pictures()
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path: WEIGHTS if path.parent.name == WEIGHTS else under for path in found}


def wait_for_pictures(within_s: float = 60.0) -> None:
    """Wait until the library's threads have written images of batches."""
    for thread in threading.enumerate():
        if "plot_images" in thread.name:
            thread.join(within_s)
