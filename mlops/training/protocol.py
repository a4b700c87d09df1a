"""What every trainer takes, gives and promises.

A trainer knows nothing of MLflow, Optuna or the outbox: it reports each epoch to the callback that it is
given, and the callback's verdict may end the training.
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

    epoch: counted from 1, as the curves show it.
    metrics: our metric names (`train/box_loss`, `val/mAP50`, `lr/head`, ... see DESIGN) to finite or NaN
    floats.
    seconds: wall time of the epoch, training and validation.
    images: training images seen in it.
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
    """All that one training needs.

    out_dir: belongs to this training alone; checkpoints live in it, and a training that finds its own
        unfinished checkpoint there goes on from it.
    device: "auto", "cpu", "cuda", "cuda:1" or "mps".
    cache: what trainings share (views of data sets, fetched weights); None keeps it in `out_dir`.
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
        """The folder of `cache`, wherever it is."""
        return self.cache if self.cache is not None else self.out_dir / "cache"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A training that ended by itself: its last epoch, its patience, or the verdict STOP.

    best_metrics: the report of `best_epoch`.
    artifacts: every file worth keeping beside the weights (curves, matrices, images), to the folder
        it belongs in ("" is the top).
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
    """Held-out figures of one set of weights.

    metrics: named `<split>/...`, e.g. `test/mAP50`, `test/F1/monocyte`.
    per_sample: parquet, one row per image (classifier) or per box (detector); None where none was made.
    """

    __test__ = False  # not a pytest class

    metrics: Mapping[str, float]
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    per_sample: Path | None = None


class Trainer(Protocol[RecipeT_contra]):
    """One way to train. Implemented once for each task; see `detection` and `classification`."""

    def check(self, recipe: RecipeT_contra, *, device: str, cache: Path) -> None:
        """Raise what a user can mend before anything is recorded: BadSetting for a device or a model that
        is not there, MissingWeights. Weights that have to be fetched are fetched into `cache`.
        """
        ...

    def fit(self, config: TrainConfig[RecipeT_contra], on_epoch: OnEpoch) -> TrainResult:
        """Train until the epochs, the patience or `on_epoch` end it.

        `on_epoch` is called once an epoch, after validation and before that epoch's checkpoint is
        replaced on disk, never for the final evaluation. Returning `Verdict.STOP` ends training with that
        epoch's checkpoint kept. An unfinished checkpoint in `config.out_dir` is gone on from: the
        epochs after it are done again, none before it.

        Raises OutOfMemory, Diverged (a loss is NaN or infinite), TrainingCrashed, DataFault, MissingWeights;
        the checkpoint of the epoch before stays usable. KeyboardInterrupt passes through.
        """
        ...

    def test(self, config: TrainConfig[RecipeT_contra], weights: Path, split: SplitName) -> TestResult:
        """Measure `weights` on a split that training never saw. Writes under `config.out_dir`."""
        ...

    def serving_model(self, config: TrainConfig[RecipeT_contra], weights: Path) -> ServingModel:
        """Export `weights` to ONNX with a free batch axis. Writes under `config.out_dir`."""
        ...
