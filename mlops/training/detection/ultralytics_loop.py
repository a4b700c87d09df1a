"""Ultralytics' training loop with additional settings of a recipe and atomic checkpoints.

Imported by name and only once `ultralytics_library.settle` has run. Every metric goes through `on_epoch`
before the epoch's checkpoint is put in place.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ultralytics.utils import DEFAULT_CFG_DICT
from ultralytics.utils.torch_utils import strip_optimizer

from mlops.errors import Diverged, MissingWeights, OutOfMemory
from mlops.files.atomic import move_durably
from mlops.files.locks import locked_folder
from mlops.terminal.progress import EpochBar
from mlops.training.detection import arguments, recipe_callbacks
from mlops.training.detection.recipe_callbacks import BrightnessContrast
from mlops.training.detection.ultralytics_internals import HookedTrainer
from mlops.training.detection.ultralytics_library import keeping_threads
from mlops.training.protocol import EpochReport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """Settings without an argument of the library.

    on_epoch: takes the epoch's report, its fitness and how it ended ("epochs", "patience" or ""); True stops.
    only_finish: all epochs are done; only the final evaluation is left.
    """

    batch: int
    freeze_layers: int
    freeze_epochs: int
    save_period: int
    brightness: float
    contrast: float
    on_epoch: Callable[[EpochReport, float, str], bool]
    bar: EpochBar
    only_finish: bool = False


class RecipeLoop(HookedTrainer):
    """One training.

    The library adds its integrations (MLflow, Comet, W&B, ...) to classes with `Trainer` in their name. This
    name avoids it, and `run_callbacks` runs only callbacks that were added here.
    """

    wdir: Path
    last: Path
    best: Path

    def __init__(self, overrides: dict[str, Any], plan: DetectorPlan) -> None:
        self.plan = plan
        with keeping_threads():
            super().__init__(cfg={**DEFAULT_CFG_DICT, "save_dir": ""}, overrides=overrides)
        self._train_s = 0.0
        self._epoch_started = 0.0
        self.add_callback("on_train_epoch_start", type(self)._start_epoch)
        self.add_callback("on_train_batch_end", lambda loop: loop.plan.bar.advance())
        self.add_callback("on_train_epoch_end", type(self)._end_training_part)

    def run_callbacks(self, event: str) -> None:
        for callback in self.callbacks.get(event, []):
            if not callback.__module__.startswith("ultralytics."):
                callback(self)

    # additional settings of the recipe

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        with locked_folder(Path(self.args.data).parent):  # the library writes its label cache there
            dataset = self.library_dataset(img_path, mode, batch)
        if mode == "train":
            self._add_photometric(dataset)
            if self.args.copy_paste and not any(len(label["segments"]) for label in dataset.labels):
                log.warning(
                    "copy_paste=%s has no effect: it needs outlines, and some boxes of this data set have "
                    "none",
                    self.args.copy_paste,
                )
        return dataset

    def library_dataset(self, img_path: str, mode: str, batch: int | None) -> Any:
        return super().build_dataset(img_path, mode, batch)

    def _add_photometric(self, dataset: Any) -> None:
        if self.plan.brightness or self.plan.contrast:
            before_formatting = len(dataset.transforms.transforms) - 1
            dataset.transforms.insert(
                before_formatting, BrightnessContrast(self.plan.brightness, self.plan.contrast)
            )

    def mosaic_closed(self) -> None:
        self._add_photometric(self.train_loader.dataset)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        model = super().get_model(cfg=cfg, weights=weights, verbose=verbose)
        if weights is not None:
            refuse_foreign_weights(model, weights, str(self.args.model))
        return model

    # the epoch

    def _start_epoch(self) -> None:
        if recipe_callbacks.due(self.epoch, self.plan.freeze_layers, self.plan.freeze_epochs):
            recipe_callbacks.release(self)
        self.plan.bar.start(self.epoch + 1, len(self.train_loader))
        self._epoch_started = time.perf_counter()

    def _end_training_part(self) -> None:
        self._train_s = time.perf_counter() - self._epoch_started
        bad = arguments.not_finite(arguments.losses("train", self.tloss), "train/")
        if bad:
            raise Diverged(f"{', '.join(bad)} became NaN or infinite in epoch {self.epoch + 1}")

    def recover_from_nan(self, epoch: int) -> bool:
        """Fail the training; the library would silently return to its last checkpoint."""
        if not all(torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            raise Diverged(f"weights became NaN or infinite in epoch {epoch + 1}")
        return False

    def before_pipeline(self) -> None:
        """Fail at the second call, after out of memory, for which Ultralytics would halve the batch."""
        if self.optimizer is not None:
            raise OutOfMemory(
                f"{self.device} has too little memory for batch={self.plan.batch} and "
                f"image_size={self.args.imgsz}; use a smaller batch or image_size"
            )

    def report(self) -> EpochReport:
        """Report of the validated epoch, with our metric names.

        `time/images_per_s` is training images per second of training; `time/epoch_s` includes validation.
        """
        images = len(self.train_loader.dataset)
        seconds = time.perf_counter() - self._epoch_started
        validated = {name: value for name, value in self.metrics.items() if name.startswith("val/")}
        metrics = {
            **arguments.losses("train", self.tloss),
            **arguments.losses("val", validated),
            **arguments.detection_metrics("val", self.validator.metrics.box, self.data["names"]),
            **arguments.learning_rates(self.optimizer.param_groups),
            "time/epoch_s": seconds,
            "time/images_per_s": images / max(self._train_s, 1e-9),
        }
        return EpochReport(self.epoch + 1, arguments.finite_or_nan(metrics), seconds, images)

    # checkpoints

    def save_model(self) -> bool:
        report = self.report()
        ended = "" if not self.stop else "epochs" if self.epoch + 1 >= self.epochs else "patience"
        self.stop |= self.plan.on_epoch(report, float(self.fitness), ended)
        with self._staged() as stage:
            super().save_model()
            if self.plan.save_period > 0 and report.epoch % self.plan.save_period == 0:
                strip_optimizer(stage / "last.pt", str(stage / f"epoch{report.epoch}.pt"))
        self.plan.bar.done(report.epoch, report.metrics, report.seconds)
        return True

    def final_eval(self) -> None:
        """Strip and evaluate copies and move them at the end, so that a kill in between loses no epoch."""
        with self._staged(moved_last="last.pt") as stage:
            for name in ("best.pt", "last.pt"):
                if (self.save_dir / "weights" / name).exists():
                    shutil.copyfile(self.save_dir / "weights" / name, stage / name)
            super().final_eval()

    @contextmanager
    def _staged(self, moved_last: str = "best.pt") -> Iterator[Path]:
        """Let the library write into a temporary folder, then move the files, `moved_last` at the end.

        After a kill between the two moves of an epoch, `last.pt` also has the best weights: a later start
        copies it to `best.pt`. After a kill between those of the final evaluation, training resumes from
        `last.pt`.
        """
        places = self.wdir, self.last, self.best
        stage = self.save_dir / ".partial"
        shutil.rmtree(stage, ignore_errors=True)  # incomplete files after a kill
        stage.mkdir()
        self.wdir, self.last, self.best = stage, stage / "last.pt", stage / "best.pt"
        try:
            yield stage
        finally:
            self.wdir, self.last, self.best = places
        written = sorted(stage.iterdir(), key=lambda file: (file.name == moved_last, file.name == "last.pt"))
        for file in written:  # the other one of the two is last but one
            move_durably(file, self.wdir / file.name)
        stage.rmdir()

    # resuming

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        if self.plan.only_finish and ckpt is not None:
            super().resume_training(None)
            self.start_epoch = ckpt["epoch"] + 1
        else:
            super().resume_training(ckpt)

    def run_epochs(self) -> None:
        try:
            if not self.plan.only_finish:
                super().run_epochs()
                return
            self.set_up()
            self.epoch = self.start_epoch - 1
            self.final_eval()
            self.plot_metrics()
        finally:
            self.plan.bar.stop()
            for name in ("train_loader", "test_loader"):
                close = getattr(getattr(self, name, None), "close", None)
                if close is not None:
                    close()


def refuse_foreign_weights(model: Any, weights: Any, name: str) -> None:
    """Raise MissingWeights if `weights` has no layer of `model`, which has the name `name`."""
    mine, theirs = model.state_dict(), weights.state_dict()
    if not any(key in mine and mine[key].shape == value.shape for key, value in theirs.items()):
        raise MissingWeights(
            f"weights={weights.pt_path}: no layer fits {name}; set weights of this architecture"
        )
