"""Work around each epoch: freezing, random state, report, record, checkpoint; and the files."""

from __future__ import annotations

import logging
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback

from mlops.errors import Diverged, UnsafeWeights
from mlops.metrics.class_metrics import headline, per_source
from mlops.systems.recipe import MOST
from mlops.training.classification import timm_network as networks
from mlops.training.classification.batches import epoch_seed
from mlops.training.classification.compiling import CompileChoice
from mlops.training.classification.state_file import StateFile, write_recorded
from mlops.training.conversion import convert
from mlops.training.protocol import EpochReport, OnEpoch, Verdict
from mlops.training.training_record import EarlierTraining, Record, read_own, write_record

if TYPE_CHECKING:
    from mlops.data.dataset import ClassificationDataset
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.terminal.progress import EpochBar
    from mlops.training.classification.lightning_module import ClassifierModule
    from mlops.training.protocol import TrainConfig


class Epochs(Callback):  # type: ignore[misc]
    """Reports every epoch after validation, then writes the record, then the checkpoint.

    After a kill between these steps, the epoch is repeated and nothing is recorded twice: the record may be
    one epoch ahead of the checkpoint, never behind it.
    """

    def __init__(
        self,
        config: TrainConfig[ClassificationRecipe],
        dataset: ClassificationDataset,
        places: ClassifierFiles,
        record: Record,
        on_epoch: OnEpoch,
        bar: EpochBar,
    ) -> None:
        self.record = record
        self._recipe, self._seed = config.recipe, config.seed
        self._classes, self._val_sources = dataset.classes, dataset.splits["val"].sources
        self._places, self._on_epoch, self._bar = places, on_epoch, bar
        self._epoch = len(record.epochs)
        self._started = self._train_s = 0.0
        self._compiling = CompileChoice() if config.recipe.compile == "auto" else None

    def number(self) -> int:
        """The current epoch, counted from 0."""
        return self._epoch

    def on_train_epoch_start(self, trainer: Any, module: ClassifierModule) -> None:
        self._epoch = int(trainer.current_epoch)
        module.freeze_backbone(self._epoch < self._recipe.freeze_epochs)
        torch.manual_seed(epoch_seed(self._seed, self._epoch))
        self._bar.start(self._epoch + 1, trainer.num_training_batches)
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, module: ClassifierModule, *_: object) -> None:
        self._bar.advance()

    def on_validation_start(self, trainer: Any, module: ClassifierModule) -> None:
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        self._train_s = time.perf_counter() - self._started

    def on_train_epoch_end(self, trainer: Any, module: ClassifierModule) -> None:
        report = self._report(trainer, module)
        stop = self._on_epoch(report) is Verdict.STOP
        self.record = self.record.with_epoch(report, report.metrics["val/macro_f1"], "")
        ended = self._ended(report.epoch) or ("verdict" if stop else "")
        self.record = self.record.with_epoch(report, report.metrics["val/macro_f1"], ended)
        write_record(self._places.record, self.record)
        self._keep(trainer, module)
        trainer.should_stop = bool(ended)
        if self._compiling is not None and not ended:
            self._compiling.after_epoch(module, self._train_s, self._recipe.epochs - report.epoch)
        self._bar.done(report.epoch, report.metrics, report.seconds)

    def _ended(self, epoch: int) -> str:
        if epoch >= self._recipe.epochs:
            return "epochs"
        highest = max(done.fitness for done in self.record.epochs)
        first = min(done.epoch for done in self.record.epochs if done.fitness == highest)
        return "patience" if self._recipe.patience and epoch - first >= self._recipe.patience else ""

    def _report(self, trainer: Any, module: ClassifierModule) -> EpochReport:
        """Report of the validated epoch. `train/...` is measured on the augmented images during training,
        `time/images_per_s` over the training time without validation.
        """
        epoch = self._epoch + 1
        seen, truth, loss = module.seen.take()
        if not math.isfinite(loss):
            raise Diverged(f"train/loss became NaN or infinite in epoch {epoch}")
        train = headline(truth.numpy(), seen.numpy(), self._classes)
        predicted, actual, val_loss = module.validated.take()
        val = headline(actual.numpy(), predicted.numpy(), self._classes, per_class=True)
        by_source = per_source(actual.numpy(), predicted.numpy(), self._val_sources)
        metrics = {
            "train/loss": loss,
            **{f"train/{name}": value for name, value in train.items()},
            "val/loss": val_loss if math.isfinite(val_loss) else math.nan,
            **{f"val/{name}": value for name, value in {**val, **by_source}.items()},
            **{f"lr/{group['name']}": float(group["lr"]) for group in trainer.optimizers[0].param_groups},
        }
        seconds = time.perf_counter() - self._started
        metrics["time/epoch_s"] = seconds
        metrics["time/images_per_s"] = len(truth) / max(self._train_s, 1e-9)
        return EpochReport(epoch, metrics, seconds, len(truth))

    def _keep(self, trainer: Any, module: ClassifierModule) -> None:
        """Write the best weights, then the checkpoint, then delete the previous best weights."""
        places, best = self._places, self.record.best().epoch
        places.weights.mkdir(parents=True, exist_ok=True)
        if best == self.record.epochs[-1].epoch:
            self._save(module, places.best_of(best))
        self._save(module, places.last)
        trainer.save_checkpoint(places.checkpoint)
        for file in places.weights.glob("best-*.safetensors"):
            if file != places.best_of(best):
                file.unlink()

    def _save(self, module: ClassifierModule, file: Any) -> None:
        recipe, norm = self._recipe, networks.normalisation(module.network)
        networks.save(
            module.network,
            file,
            model=recipe.model,
            classes=list(self._classes),
            image_size=recipe.image_size,
            mean=norm.mean,
            std=norm.std,
        )


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClassifierFiles:
    out_dir: Path

    @property
    def record(self) -> Path:
        return self.out_dir / "training.json"

    @property
    def checkpoint(self) -> Path:
        """Lightning's checkpoint of the last epoch, to resume from: see `StateFile`."""
        return self.out_dir / "training_state.safetensors"

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
        """Files to keep, each with its artifact folder."""
        drawn = sorted(path for path in self.drawings.iterdir() if path.is_file())
        return {**dict.fromkeys(drawn, "training"), self.best: "weights", self.last: "weights"}

    def best_of(self, epoch: int) -> Path:
        """The best weights of an epoch. The previous file is kept until the epoch's checkpoint is written, so
        that the checkpoint's best weights always exist.
        """
        return self.weights / f"best-{epoch}.safetensors"


def look_back(places: ClassifierFiles, identity: str) -> EarlierTraining:
    """Find the checkpoint to resume from, and cut the record to its epoch.

    Starts over with a warning if the checkpoint is unreadable. Raises StudyMismatch if the folder has a
    training of another recipe, data set or seed.
    """
    record = read_own(places.record, identity)
    if record is not None and record.finished and places.best.exists():
        return EarlierTraining(record)
    if record is None or not _has_checkpoint(places):
        return _anew(places, identity)
    epoch = _epochs_in(places.checkpoint)
    if epoch is None:
        log.warning("%s is damaged; restarting from epoch 1", places.checkpoint)
        return _anew(places, identity)
    record = record.up_to(epoch)
    best = places.best_of(record.best().epoch)
    if not best.exists() and not (record.ended and places.best.exists()):
        log.warning("%s is missing; restarting from epoch 1", best)
        return _anew(places, identity)
    return EarlierTraining(record, places.checkpoint)


def _has_checkpoint(places: ClassifierFiles) -> bool:
    """Converts the checkpoint of a training that an earlier release began."""
    earlier = places.out_dir / "last.ckpt"
    if not places.checkpoint.exists() and earlier.exists():
        try:
            convert(earlier, places.checkpoint, write_recorded)
        except UnsafeWeights as error:
            log.warning("%s cannot be resumed from: %s", earlier, error)
            return False
        earlier.unlink()
    return places.checkpoint.exists()


def _epochs_in(checkpoint: Path) -> int | None:
    """Number of finished epochs in a checkpoint; None if it is unreadable."""
    try:
        epoch = int(StateFile().load_checkpoint(checkpoint)["epoch"])
        return epoch + 1 if 0 <= epoch < MOST else None
    except (UnsafeWeights, OSError) as error:
        log.debug("%s: %s", checkpoint, error)
        return None


def _anew(places: ClassifierFiles, identity: str) -> EarlierTraining:
    shutil.rmtree(places.weights, ignore_errors=True)
    shutil.rmtree(places.drawings, ignore_errors=True)
    places.checkpoint.unlink(missing_ok=True)
    places.record.unlink(missing_ok=True)
    return EarlierTraining(Record(identity))
