"""The interface of trainers.

A trainer does not depend on MLflow, Optuna or the outbox: it reports each epoch to a callback, whose verdict
may end the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset, SplitName
    from mlops.prediction.mlflow_model import ServingModel

RecipeT_co = TypeVar("RecipeT_co", covariant=True)
RecipeT_contra = TypeVar("RecipeT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch, after its validation.

    epoch: counted from 1.
    metrics: values by metric name (`train/box_loss`, `val/mAP50`, `lr/head`, ...); finite or NaN.
    seconds: wall time of the epoch, training and validation.
    images: number of training images in it.
    """

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    images: int


class Verdict(Enum):
    CONTINUE = "continue"
    STOP = "stop"


OnEpoch = Callable[[EpochReport], Verdict]


@dataclass(frozen=True, slots=True)
class TrainConfig(Generic[RecipeT_co]):
    """Configuration of one training.

    out_dir: used only by this training; contains its checkpoints. An unfinished checkpoint of the same
        training is resumed.
    device: "auto", "cpu", "cuda", "cuda:1" or "mps".
    cache: folder shared by trainings (views of data sets, fetched weights); None for a folder in `out_dir`.
    """

    recipe: RecipeT_co
    dataset: Dataset
    out_dir: Path
    device: str = "auto"
    seed: int = 0
    progress: bool = True
    cache: Path | None = None

    @property
    def shared(self) -> Path:
        """The cache folder."""
        return self.cache if self.cache is not None else self.out_dir / "cache"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A training that ended normally: by the last epoch, the patience, or the verdict STOP.

    best_metrics: the metrics of `best_epoch`.
    artifacts: files to keep beside the weights (curves, matrices, images), each with its artifact folder (""
        is the top).
    """

    best_weights: Path
    last_weights: Path
    best_epoch: int
    best_metrics: Mapping[str, float]
    epochs_done: int
    parameters: int
    artifacts: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TestResult:
    """Held-out metrics of one set of weights.

    metrics: named `<split>/...`, e.g. `test/mAP50`, `test/F1/monocyte`.
    per_sample: parquet, one row per image (classifier) or per box (detector); None if not written.
    """

    __test__ = False  # not a pytest class

    metrics: Mapping[str, float]
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    per_sample: Path | None = None


class Trainer(Protocol[RecipeT_contra]):
    """Trains one task; implemented in `detection`, `classification` and `joint`."""

    def check(self, recipe: RecipeT_contra, *, device: str, cache: Path) -> None:
        """Raise errors that the user can fix, before anything is recorded: BadSetting for an unknown device
        or model, MissingWeights. Fetches weights into `cache` if needed.
        """
        ...

    def fit(self, config: TrainConfig[RecipeT_contra], on_epoch: OnEpoch) -> TrainResult:
        """Train until the last epoch, the patience or `on_epoch` ends it.

        `on_epoch` is called once per epoch, after validation and before that epoch's checkpoint is written,
        but not for the final evaluation. `Verdict.STOP` ends training and keeps that epoch's checkpoint.
        Training resumes from an unfinished checkpoint in `config.out_dir`; only epochs after it are repeated.

        Raises OutOfMemory, Diverged (a loss is NaN or infinite), TrainingCrashed, DataFault, MissingWeights;
        the checkpoint of the previous epoch remains usable. KeyboardInterrupt is not caught.
        """
        ...

    def test(self, config: TrainConfig[RecipeT_contra], weights: Path, split: SplitName) -> TestResult:
        """Evaluate `weights` on a split that was not used in training. Writes under `config.out_dir`."""
        ...

    def serving_model(self, config: TrainConfig[RecipeT_contra], weights: Path) -> ServingModel:
        """Export `weights` to ONNX with a dynamic batch axis. Writes under `config.out_dir`."""
        ...
