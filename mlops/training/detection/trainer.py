"""`DetectionTrainer`: the trainer protocol, for boxes, through Ultralytics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops.data.dataset import DetectionDataset
from mlops.errors import DataFault
from mlops.training.detection import files
from mlops.training.detection.library import keeping_threads, quiet, settle
from mlops.training.detection.lookback import Found, Places, look_back
from mlops.training.protocol import (
    EpochReport,
    OnEpoch,
    ServingModel,
    TestResult,
    TrainConfig,
    TrainResult,
    Verdict,
)
from mlops.training.record import Record, identity_of, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.dataset import SplitName
    from mlops.systems.recipe import DetectionRecipe
    from mlops.training.detection.loop import Plan


class DetectionTrainer:
    """Implements `mlops.training.protocol.Trainer` for `DetectionRecipe`. Holds no state between calls."""

    def check(self, recipe: DetectionRecipe, *, device: str, cache: Path) -> None:
        """See the protocol."""
        settle(cache)
        from mlops.training.detection.device import library_device
        from mlops.training.detection.start import starting_point

        library_device(device)
        with quiet(), keeping_threads():
            starting_point(recipe, cache)

    def fit(self, config: TrainConfig[DetectionRecipe], on_epoch: OnEpoch) -> TrainResult:
        """See the protocol. The best epoch is the library's: the highest val/mAP50-95, which patience
        watches too.
        """
        dataset = _boxes(config)
        settle(config.shared)
        places = Places(config.out_dir)
        with quiet(), keeping_threads():
            found = look_back(places, identity_of(config))
            if not found.record.finished:
                found = Found(_train(config, dataset, places, found, on_epoch))
        return _result(places, found.record)

    def test(self, config: TrainConfig[DetectionRecipe], weights: Path, split: SplitName) -> TestResult:
        """See the protocol; plots and the predictions go to `test/`."""
        dataset = _boxes(config)
        settle(config.shared)
        from mlops.training.detection.evaluate import evaluate

        with quiet(), keeping_threads():
            return evaluate(config, dataset, weights, split)

    def serving_model(self, config: TrainConfig[DetectionRecipe], weights: Path) -> ServingModel:
        """See the protocol; the model goes to `serving/`."""
        dataset = _boxes(config)
        settle(config.shared)
        from mlops.training.detection.serving import export

        with quiet(), keeping_threads():
            return export(config.recipe, dataset.classes, weights, config.out_dir / "serving")


def _boxes(config: TrainConfig[DetectionRecipe]) -> DetectionDataset:
    dataset = config.dataset
    if not isinstance(dataset, DetectionDataset):
        raise DataFault(
            f"{dataset.identity.path} holds labelled pictures without boxes; a detector needs boxes"
        )
    for split in ("train", "val"):
        if not dataset.splits.get(split):
            raise DataFault(f"{dataset.identity.path} has no pictures to {split} on")
    return dataset


def _train(
    config: TrainConfig[DetectionRecipe],
    dataset: DetectionDataset,
    places: Places,
    found: Found,
    on_epoch: OnEpoch,
) -> Record:
    from mlops.data.view import yolo_view
    from mlops.training.detection.arguments import resume_arguments, training_arguments
    from mlops.training.detection.device import library_device
    from mlops.training.detection.start import starting_point
    from mlops.training.failures import named

    recipe = config.recipe
    device = library_device(config.device)
    data = yolo_view(dataset, config.shared) / "data.yaml"
    journal = _Journal(places, found.record, on_epoch)
    if found.checkpoint is not None:
        arguments = resume_arguments(
            recipe, checkpoint=found.checkpoint, data=data, folder=places.folder, device=device
        )
    else:
        start = starting_point(recipe, config.shared)
        arguments = training_arguments(
            recipe,
            model=start.architecture,
            weights=start.weights,
            data=data,
            folder=places.folder,
            device=device,
            seed=config.seed,
        )
    with named(places.out_dir):
        from mlops.training.detection.loop import RecipeLoop

        loop = RecipeLoop(arguments, _plan(config, journal, found))
        loop.train()
        files.wait_for_pictures()
        parameters = sum(parameter.numel() for parameter in loop.model.parameters())
    done = replace(journal.record, finished=True, parameters=parameters)
    write_record(places.record, done)
    return done


def _plan(config: TrainConfig[DetectionRecipe], journal: _Journal, found: Found) -> Plan:
    from mlops.training.detection.loop import Plan
    from mlops.training.progress import EpochBar

    recipe = config.recipe
    return Plan(
        batch=recipe.batch,
        freeze_layers=recipe.freeze_layers,
        freeze_epochs=recipe.freeze_epochs,
        save_period=recipe.save_period,
        brightness=recipe.brightness,
        contrast=recipe.contrast,
        on_epoch=journal,
        bar=EpochBar(config.progress, recipe.epochs),
        only_finish=bool(found.record.ended),
    )


class _Journal:
    """Hands each epoch's report on, and writes it to the record before its checkpoint is put in place."""

    def __init__(self, places: Places, record: Record, on_epoch: OnEpoch) -> None:
        self._places, self._on_epoch = places, on_epoch
        self.record = record

    def __call__(self, report: EpochReport, fitness: float, ended: str) -> bool:
        stop = self._on_epoch(report) is Verdict.STOP
        self.record = self.record.with_epoch(report, fitness, ended or ("verdict" if stop else ""))
        write_record(self._places.record, self.record)
        return stop


def _result(places: Places, record: Record) -> TrainResult:
    best = record.best()
    return TrainResult(
        best_weights=places.best,
        last_weights=places.last,
        best_epoch=best.epoch,
        best_metrics=best.metrics,
        epochs_done=record.epochs[-1].epoch,
        parameters=record.parameters,
        artifacts=files.kept_files(places.folder, "training"),
    )
