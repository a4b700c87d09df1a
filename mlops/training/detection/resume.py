"""What an earlier start of the same training left: checkpoints and Ultralytics' own files."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops.errors import UnsafeWeights, UserError
from mlops.files.atomic import move_durably, write_durably
from mlops.systems.recipe import MOST
from mlops.training.conversion import convert
from mlops.training.detection.network_file import read_network, write_network
from mlops.training.detection.recorded_network import write_recorded
from mlops.training.tensor_file import read_tensors
from mlops.training.training_record import EarlierTraining, Record, read_own

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "weights"
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
        return self.folder / WEIGHTS / "best.safetensors"

    @property
    def last(self) -> Path:
        """The last epoch's weights, once training has ended."""
        return self.folder / WEIGHTS / "last.safetensors"

    @property
    def state(self) -> Path:
        """What an unfinished training goes on from: the last epoch's weights and the optimizer's state."""
        return self.out_dir / "training_state.safetensors"

    @property
    def download(self) -> Path:
        """The best weights as a checkpoint of Ultralytics, for its users; it is never opened here."""
        return self.folder / WEIGHTS / "best.pt"

    def of_epoch(self, epoch: int) -> Path:
        """The weights that the recipe's `save_period` keeps."""
        return self.folder / WEIGHTS / f"epoch{epoch}.safetensors"

    @property
    def record(self) -> Path:
        return self.out_dir / "training.json"


def look_back(places: DetectorFiles, identity: str) -> EarlierTraining:
    """Find the checkpoint to resume from, and cut record and curves to its epoch.

    Starts over with a warning if the checkpoint is unreadable. Raises StudyMismatch if the folder has a
    training of another recipe, data set or seed.
    """
    record = read_own(places.record, identity)
    if record is None:
        return _anew(places, identity)
    try:
        _convert_earlier(places)
        if places.best.exists() and (record.finished or (record.ended and not places.state.exists())):
            return EarlierTraining(replace(record, finished=True))
        if not places.state.exists():
            return _anew(places, identity)
        epoch = finished_epochs(places.state)
        record = record.up_to(epoch)
        if record.epochs and record.best().epoch == epoch and not _is_of(places.best, epoch):
            # killed between the writing of the two files
            write_network(
                places.best, read_network(places.state).network, half=True, training={"epoch": epoch - 1}
            )
    except (UserError, OSError) as error:
        log.warning("%s is damaged; restarting from epoch 1 (%s)", places.state.parent, error)
        return _anew(places, identity)
    cut_results(places.folder / "results.csv", epoch)
    return EarlierTraining(record, places.state)


def finished_epochs(file: Path) -> int:
    """The epochs done when `file` was written. Raises UnsafeWeights if it does not state them, OSError."""
    _, values = read_tensors(file)
    training = values.get("training")
    epoch = training.get("epoch") if isinstance(training, dict) else None
    if type(epoch) is not int or not 0 <= epoch < MOST:
        raise UnsafeWeights(f"{file} does not state its epoch")
    return epoch + 1


def as_safetensors(weights: Path) -> Path:
    """`weights`, or the safetensors file beside a checkpoint that an earlier release wrote, made once."""
    if weights.suffix != ".pt":
        return weights
    beside = weights.with_suffix(".safetensors")
    return beside if beside.exists() else convert(weights, beside, write_recorded)


def _is_of(file: Path, epoch: int) -> bool:
    return file.exists() and finished_epochs(file) == epoch


def _convert_earlier(places: DetectorFiles) -> None:
    """Convert the checkpoints of an earlier release's training; the one to resume from comes last."""
    last = places.last.with_suffix(".pt")
    if places.state.exists() or places.last.exists() or not last.exists():
        return
    if places.download.exists():
        as_safetensors(places.download)
    made = convert(last, places.state.with_suffix(".converted"), write_recorded)
    _, values = read_tensors(made)
    move_durably(made, places.state if values.get("training") else places.last)


def _anew(places: DetectorFiles, identity: str) -> EarlierTraining:
    shutil.rmtree(places.folder, ignore_errors=True)
    places.state.unlink(missing_ok=True)
    places.record.unlink(missing_ok=True)
    return EarlierTraining(Record(identity))


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
