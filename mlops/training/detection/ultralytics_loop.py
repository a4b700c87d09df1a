"""Ultralytics' training loop with additional settings of a recipe and atomic checkpoints.

Imported by name and only once `ultralytics_library.settle` has run. Every metric goes through `on_epoch`
before the epoch's checkpoint is put in place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics import __version__ as ultralytics_version
from ultralytics.utils import DEFAULT_CFG_DICT

from mlops.errors import Diverged, OutOfMemory
from mlops.files.atomic import partial_file
from mlops.files.locks import locked_folder
from mlops.terminal.progress import EpochBar
from mlops.training.detection import arguments, recipe_callbacks
from mlops.training.detection.first_weights import refuse_foreign
from mlops.training.detection.network_file import SavedNetwork, read_network, write_network
from mlops.training.detection.recipe_callbacks import BrightnessContrast
from mlops.training.detection.ultralytics_internals import HookedTrainer
from mlops.training.detection.ultralytics_library import keeping_threads
from mlops.training.protocol import EpochReport

if TYPE_CHECKING:
    from mlops.training.detection.resume import DetectorFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """Settings without an argument of the library.

    start: the weights to begin with, or what to resume from if `resumes`; weights: their name in the recipe.
    on_epoch: takes the epoch's report, its fitness and how it ended ("epochs", "patience" or ""); True stops.
    only_finish: all epochs are done; only the final evaluation is left.
    """

    files: DetectorFiles
    start: SavedNetwork | None
    resumes: bool
    weights: str
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

    model: Any
    metrics: Any

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

    # the network: from our own files, where the library would open a checkpoint

    def check_resume(self, overrides: dict[str, Any]) -> None:
        self.resume = self.args.resume = self.plan.resumes

    def setup_model(self) -> dict[str, Any] | None:
        start = self.plan.start
        if not self.plan.resumes:
            self.model = self.get_model(
                self.model, start.network if start is not None else None, verbose=False
            )
            return None
        assert start is not None
        self.model = self.get_model(dict(start.description.yaml), start.network, verbose=False)
        return {**start.training, "ema": start.network}

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        model = super().get_model(cfg=cfg, weights=weights, verbose=verbose)
        if weights is not None:
            self.refuse_foreign_weights(model)
        return model

    def refuse_foreign_weights(self, model: Any) -> None:
        assert self.plan.start is not None
        refuse_foreign(model, self.plan.start, self.plan.weights, str(self.args.model))

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
        """Write the state to resume from, then the best weights, each atomically."""
        report = self.report()
        ended = "" if not self.stop else "epochs" if self.epoch + 1 >= self.epochs else "patience"
        self.stop |= self.plan.on_epoch(report, float(self.fitness), ended)
        files, network, epoch = self.plan.files, self.ema.ema, {"epoch": self.epoch}
        write_network(files.state, network, training={**epoch, **self.training_state()})
        if self.best_fitness == self.fitness:
            write_network(files.best, network, half=True, training=epoch)
        if self.plan.save_period > 0 and report.epoch % self.plan.save_period == 0:
            write_network(files.of_epoch(report.epoch), network, half=True, training=epoch)
        self.plan.bar.done(report.epoch, report.metrics, report.seconds)
        return True

    def training_state(self) -> dict[str, Any]:
        """What `resume_training` needs beside weights and epoch."""
        stopper = {name: getattr(self.stopper, name) for name in ("best_fitness", "best_epoch")}
        return {
            "updates": self.ema.updates,
            "best_fitness": None if self.best_fitness is None else float(self.best_fitness),
            "stopper": {name: value if value is None else float(value) for name, value in stopper.items()},
            "scaler": self.scaler.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def final_eval(self) -> None:
        """Evaluate the best weights, as the library does, and write the last ones and the download."""
        files = self.plan.files
        write_network(
            files.last, read_network(files.state).network, half=True, training={"epoch": self.epoch}
        )
        write_download(files.download, read_network(files.best).network, vars(self.args), self.metrics)
        self.validator.args.plots = self.args.plots
        self.validator.args.compile = False
        self.metrics = self.validator(model=read_network(files.best).network)
        self.metrics.pop("fitness", None)

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


def write_download(
    file: Path, network: Any, arguments: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Write `network` as the library's trainer leaves its final weights, for `YOLO(file)`."""
    network = network.half()
    for parameter in network.parameters():
        parameter.requires_grad = False
    said = {name: value for name, value in arguments.items() if name in DEFAULT_CFG_DICT}
    network.args = said
    unused = ("best_fitness", "stopper", "ema", "updates", "scaler", "optimizer", "modelopt")
    content = {
        **dict.fromkeys(unused),
        "epoch": -1,
        "model": network,
        "train_args": said,
        "train_metrics": {name: float(value) for name, value in metrics.items()},
        "date": datetime.now().astimezone().isoformat(),
        "version": ultralytics_version,
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }
    with partial_file(file) as partial:
        torch.save(content, partial)
