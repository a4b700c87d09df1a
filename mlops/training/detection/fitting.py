"""Train one recipe with an Ultralytics loop; resumes an earlier start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mlops.data.dataset import DetectionDataset
from mlops.errors import DataFault
from mlops.machine.memory import available_bytes
from mlops.terminal.messages import note
from mlops.training.detection import resume
from mlops.training.detection.network_file import SavedNetwork, read_network
from mlops.training.detection.resume import DetectorFiles, look_back
from mlops.training.detection.ultralytics_library import keeping_threads, quiet
from mlops.training.protocol import EpochReport, OnEpoch, TrainConfig, TrainResult, Verdict
from mlops.training.training_record import EarlierTraining, Record, write_record

if TYPE_CHECKING:
    from mlops.systems.recipe import AnyRecipe, DetectionRecipe
    from mlops.training.detection.ultralytics_loop import DetectorPlan, RecipeLoop

LoopFactory: TypeAlias = "Callable[[dict[str, Any], DetectorPlan], RecipeLoop]"
"""Creates a loop from the library's arguments and the plan; it imports the library."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training. identity: see `mlops.training.training_record`. make_loop: creates the training loop."""

    config: TrainConfig[DetectionRecipe]
    dataset: DetectionDataset
    identity: str
    make_loop: LoopFactory


def boxed(config: TrainConfig[AnyRecipe], called: str = "a detector") -> DetectionDataset:
    """The data set of `config`. Raises DataFault for one without boxes, or without images to train on."""
    dataset = config.dataset
    if not isinstance(dataset, DetectionDataset):
        raise DataFault(f"{dataset.identity.path} has labelled images without boxes; {called} needs boxes")
    for split in ("train", "val"):
        if not dataset.splits.get(split):
            raise DataFault(f"{dataset.identity.path} has no images in its {split} split")
    return dataset


def fit(job: Job, on_epoch: OnEpoch) -> TrainResult:
    """See `mlops.training.protocol.Trainer.fit`. `ultralytics_library.settle` must have run before."""
    places = DetectorFiles(job.config.out_dir)
    with quiet(), keeping_threads():
        found = look_back(places, job.identity)
        if not found.record.finished:
            found = EarlierTraining(_train(job, places, found, on_epoch))
    return _result(places, found.record)


def image_cache(recipe: DetectionRecipe, dataset: DetectionDataset) -> Literal["ram", False]:
    """`cache` of the recipe, if the decoded images fill at most half of the memory that is left: the library
    looks at the machine's memory, not at the container's.
    """
    if recipe.cache != "ram":
        return False
    images = sum(len(images) for images in dataset.splits.values())
    needed, left = images * 3 * recipe.image_size**2, available_bytes()
    if needed <= left / 2:
        return "ram"
    note(
        f"cache=ram is not used: {images} decoded images take up to {needed / 1e9:.1f} GB, more than half of "
        f"the {left / 1e9:.1f} GB of memory that are left"
    )
    return False


def _train(job: Job, places: DetectorFiles, found: EarlierTraining, on_epoch: OnEpoch) -> Record:
    from mlops.data.ultralytics_view import yolo_view
    from mlops.training.detection.arguments import training_arguments
    from mlops.training.detection.first_weights import architecture, first_weights
    from mlops.training.device import library_device
    from mlops.training.failures import named
    from mlops.training.threads import loading_processes

    config, recipe = job.config, job.config.recipe
    arguments = training_arguments(
        recipe,
        model=architecture(recipe.model),
        data=yolo_view(job.dataset, config.shared) / "data.yaml",
        folder=places.folder,
        device=library_device(config.device),
        seed=config.seed,
        workers=loading_processes(recipe.workers),
        cache=image_cache(recipe, job.dataset),
    )
    journal = _Journal(places, found.record, on_epoch)
    going_on = found.checkpoint
    weights = going_on or first_weights(recipe.weights, config.shared / "weights")
    start = None if weights is None else read_network(weights, complete=going_on is not None)
    with named(places.out_dir):
        loop = job.make_loop(arguments, _plan(config, places, journal, found, start))
        loop.train()
        resume.wait_for_pictures()
        parameters = sum(parameter.numel() for parameter in loop.model.parameters())
    done = replace(journal.record, finished=True, parameters=parameters)
    write_record(places.record, done)
    places.state.unlink(missing_ok=True)
    return done


def _plan(
    config: TrainConfig[DetectionRecipe],
    places: DetectorFiles,
    journal: _Journal,
    found: EarlierTraining,
    start: SavedNetwork | None,
) -> DetectorPlan:
    from mlops.terminal.progress import EpochBar
    from mlops.training.detection.ultralytics_loop import DetectorPlan

    recipe = config.recipe
    return DetectorPlan(
        files=places,
        start=start,
        resumes=found.checkpoint is not None,
        weights=recipe.weights,
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
    """Passes on each epoch's report, and writes it to the record before its checkpoint is written."""

    def __init__(self, places: DetectorFiles, record: Record, on_epoch: OnEpoch) -> None:
        self._places, self._on_epoch = places, on_epoch
        self.record = record

    def __call__(self, report: EpochReport, fitness: float, ended: str) -> bool:
        stop = self._on_epoch(report) is Verdict.STOP
        self.record = self.record.with_epoch(report, fitness, ended or ("verdict" if stop else ""))
        write_record(self._places.record, self.record)
        return stop


def _result(places: DetectorFiles, record: Record) -> TrainResult:
    best = record.best()
    return TrainResult(
        best_weights=places.best,
        last_weights=places.last,
        best_epoch=best.epoch,
        best_metrics=best.metrics,
        epochs_done=record.epochs[-1].epoch,
        parameters=record.parameters,
        artifacts=resume.kept_files(places.folder, "training"),
    )
