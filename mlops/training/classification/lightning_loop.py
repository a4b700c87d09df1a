"""One training with Lightning's loop and our record; resumes an earlier start."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from mlops.errors import Terminated
from mlops.terminal.progress import EpochBar
from mlops.training.classification import timm_network as networks
from mlops.training.classification.batches import EvalBatches, Split, TrainBatches, decoded, split_of
from mlops.training.classification.epochs import ClassifierFiles, Epochs, look_back
from mlops.training.classification.held_out import finish
from mlops.training.classification.lightning_module import ClassifierModule
from mlops.training.classification.state_file import StateFile
from mlops.training.device import find_device
from mlops.training.protocol import OnEpoch, TrainConfig, TrainResult
from mlops.training.training_record import EarlierTraining, Record, identity_of

if TYPE_CHECKING:
    from mlops.data.dataset import ClassificationDataset, SplitName
    from mlops.systems.recipe import ClassificationRecipe

EVAL_BATCHES = 2  # size of a validation batch in training batches


def train(
    config: TrainConfig[ClassificationRecipe], dataset: ClassificationDataset, on_epoch: OnEpoch
) -> TrainResult:
    """See the protocol's `fit`."""
    places = ClassifierFiles(config.out_dir)
    found = look_back(places, identity_of(config))
    record = found.record
    if not record.finished:
        places.out_dir.mkdir(parents=True, exist_ok=True)
        device = torch.device(find_device(config.device))
        splits = {name: open_split(config, dataset, name).near(device) for name in ("train", "val")}
        if not record.ended:
            record = _learn(config, dataset, splits, device, places, found, on_epoch)
        record = finish(config, dataset, splits, device, places, record)
    return TrainResult(
        best_weights=places.best,
        last_weights=places.last,
        best_epoch=record.best().epoch,
        best_metrics=record.best().metrics,
        epochs_done=record.epochs[-1].epoch,
        parameters=record.parameters,
        artifacts=places.artifacts(),
    )


def open_split(
    config: TrainConfig[ClassificationRecipe], dataset: ClassificationDataset, name: SplitName
) -> Split:
    """The split's images at the recipe's size; decoded at the first call."""
    recipe = config.recipe
    pictures = decoded(dataset, name, recipe.image_size, config.shared, recipe.workers)
    return split_of(pictures, dataset.splits[name].labels)


def _learn(
    config: TrainConfig[ClassificationRecipe],
    dataset: ClassificationDataset,
    splits: Mapping[str, Split],
    device: torch.device,
    places: ClassifierFiles,
    found: EarlierTraining,
    on_epoch: OnEpoch,
) -> Record:
    """Train the remaining epochs."""
    recipe = config.recipe
    going_on = found.checkpoint is not None
    first_weights = recipe.model_copy(update={"weights": "none"}) if going_on else recipe
    network = networks.build(first_weights, len(dataset.classes), config.seed)
    bar = EpochBar(config.progress, recipe.epochs)
    epochs = Epochs(config, dataset, places, found.record, on_epoch, bar)
    batches = TrainBatches(splits["train"], recipe.batch, recipe.sampler, config.seed, epochs.number)
    counts = torch.bincount(splits["train"].labels.cpu(), minlength=len(dataset.classes))
    module = ClassifierModule(network, recipe, counts, steps_per_epoch=-(-len(batches) // recipe.accumulate))
    with quiet(), _numbers_of_its_own(device), _interruptible():
        try:
            _lightning(recipe, device, places, epochs).fit(
                module,
                train_dataloaders=batches,
                val_dataloaders=EvalBatches(splits["val"], EVAL_BATCHES * recipe.batch),
                ckpt_path=found.checkpoint,
            )
        finally:
            bar.stop()
    return epochs.record


def _lightning(
    recipe: ClassificationRecipe, device: torch.device, places: ClassifierFiles, epochs: Epochs
) -> pl.Trainer:
    return pl.Trainer(
        accelerator=device.type,
        devices=[device.index] if device.type == "cuda" else 1,
        precision=_precision(recipe, device),
        max_epochs=recipe.epochs,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip_norm or None,
        callbacks=[epochs],
        plugins=[StateFile()],
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=places.out_dir,
    )


def _precision(recipe: ClassificationRecipe, device: torch.device) -> Any:
    """Mixed precision on CUDA, where it is faster. On a CPU bfloat16 was slower than float32."""
    if not recipe.amp or device.type != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


@contextmanager
def quiet() -> Iterator[None]:
    """Restrict Lightning's log to warnings and errors, without its advice on loaders and loggers."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logger.setLevel(before)


@contextmanager
def _numbers_of_its_own(device: torch.device) -> Iterator[None]:
    """Restore torch's random state afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise Ctrl-C as KeyboardInterrupt, which Lightning would convert to `sys.exit(1)` and ignore from then
    on.

    Lightning ends with status 0 after SIGTERM. With a handler of the caller's, whose exception Python dropped
    (see `termination_as_interrupt`), raise Terminated instead; without one, exit with the shell's 143.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    handled = signal.getsignal(signal.SIGTERM) not in (None, signal.SIG_DFL)
    try:
        yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise ended.__context__ from None
        if isinstance(ended, SIGTERMException):
            if handled:
                raise Terminated from None
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
