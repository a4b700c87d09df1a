"""Train one recipe through a loop of Ultralytics' kind, from wherever an earlier start of it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops.data.dataset import DetectionDataset
from mlops.errors import DataFault
from mlops.training.detection import files
from mlops.training.detection.library import keeping_threads, quiet
from mlops.training.detection.lookback import Places, look_back
from mlops.training.protocol import EpochReport, OnEpoch, TrainConfig, TrainResult, Verdict
from mlops.training.record import Found, Record, write_record

if TYPE_CHECKING:
    from mlops.systems.recipe import AnyRecipe, DetectionRecipe
    from mlops.training.detection.loop import Plan, RecipeLoop

LoopFactory: TypeAlias = "Callable[[dict[str, Any], Plan], RecipeLoop]"
"""Makes a loop of the library's arguments and the plan; the library is imported in it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training. identity: of what it is, see `mlops.training.record`; make_loop: what trains it."""

    config: TrainConfig[DetectionRecipe]
    dataset: DetectionDataset
    identity: str
    make_loop: LoopFactory


def boxed(config: TrainConfig[AnyRecipe], called: str = "a detector") -> DetectionDataset:
    """The data set of `config`. Raises DataFault for one without boxes, or without pictures to train on."""
    dataset = config.dataset
    if not isinstance(dataset, DetectionDataset):
        raise DataFault(
            f"{dataset.identity.path} holds labelled pictures without boxes; {called} needs boxes"
        )
    for split in ("train", "val"):
        if not dataset.splits.get(split):
            raise DataFault(f"{dataset.identity.path} has no pictures to {split} on")
    return dataset


def fit(job: Job, on_epoch: OnEpoch) -> TrainResult:
    """See `mlops.training.protocol.Trainer.fit`. `library.settle` has to have run before."""
    places = Places(job.config.out_dir)
    with quiet(), keeping_threads():
        found = look_back(places, job.identity)
        if not found.record.finished:
            found = Found(_train(job, places, found, on_epoch))
    return _result(places, found.record)


def _train(job: Job, places: Places, found: Found, on_epoch: OnEpoch) -> Record:
    from mlops.data.view import yolo_view
    from mlops.training.detection.arguments import resume_arguments, training_arguments
    from mlops.training.detection.device import library_device
    from mlops.training.detection.start import starting_point
    from mlops.training.failures import named

    config, recipe = job.config, job.config.recipe
    device = library_device(config.device)
    data = yolo_view(job.dataset, config.shared) / "data.yaml"
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
        loop = job.make_loop(arguments, _plan(config, journal, found))
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
