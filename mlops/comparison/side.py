"""One training as it is compared: its answers to the test's pictures, and what is known of it besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops.evaluation.samples.detections import Detections


@dataclass(frozen=True, slots=True)
class BoxAnswers:
    """A detector's table. classes: names that occur in it, by index. pictures: how many were looked at,
    those without a box too; None where the table does not say.
    """

    detections: Detections
    classes: Mapping[int, str]
    pictures: int | None


@dataclass(frozen=True, slots=True)
class ClassAnswers:
    """A classifier's table, sorted by image: (N,) each; truth and predicted are indices into `classes`."""

    image: NDArray[np.str_]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeasuredOn:
    """What a training was tested on. name: as the run has it. digest: SHA-256 (hex), "" where unknown."""

    name: str
    digest: str
    split: str


@dataclass(frozen=True, slots=True)
class Latency:
    """One picture through the ONNX file, as `mlops registry measure` found it."""

    device: str
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Costs:
    """None: not recorded. training_s: the epochs' own time. images_per_s: in training, the mean epoch's."""

    parameters: float | None = None
    onnx_bytes: float | None = None
    weights_bytes: float | None = None
    training_s: float | None = None
    epochs: float | None = None
    images_per_s: float | None = None
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One training. name: what people call it; run_id: MLflow's.

    classes: of the data it was trained on, in order. trained_on: pictures in its training split.
    threshold: the score that `mlops evaluate` chose for it, from which a box counts. losses: of the last
    epoch, `train/...` and `val/...`.
    """

    name: str
    run_id: str
    system: str
    recipe: str
    seed: str
    trained_digest: str
    trained_on: int | None
    tested: MeasuredOn
    classes: tuple[str, ...]
    boxes: BoxAnswers | None
    answers: ClassAnswers | None
    threshold: float | None = None
    costs: Costs = field(default_factory=Costs)
    losses: Mapping[str, float] = field(default_factory=dict)

    @property
    def configuration(self) -> tuple[str, str, str]:
        """What trainings of several seeds share."""
        return self.system, self.recipe, self.trained_digest


@dataclass(frozen=True, slots=True)
class Configuration:
    """Trainings that differ in their seed alone: usually one. name: as the tables call it."""

    name: str
    sides: tuple[Side, ...]

    @property
    def seeds(self) -> int:
        return len(self.sides)
