"""One training as it is compared, and which trainings are seeds of one configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops.errors import NotComparable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops.metrics.samples.matching import Detections


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
class CandidateLatency:
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
    latency: CandidateLatency | None = None


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


def grouped(sides: Sequence[Side], *, apart: bool = False) -> tuple[list[Configuration], list[str]]:
    """Sides of the same system, recipe and training data whose seeds differ as one, and notes on it.

    The first side's configuration comes first. apart: each by itself. Where all are seeds of one
    configuration they are taken apart too, as otherwise nothing would be left to compare.
    """
    if len(sides) < 2:
        raise NotComparable("name at least two to compare: versions, runs or studies")
    together = [_configuration(own) for own in _by_recipe(sides)]
    if apart or len(together) == len(sides):
        return [Configuration(side.name, (side,)) for side in sides], []
    if len(together) == 1:
        note = (
            f"All {len(sides)} are seeds of one configuration, so each is compared by itself: the "
            "differences are what a seed does."
        )
        return [Configuration(side.name, (side,)) for side in sides], [note]
    return together, [f"{each.name}: the mean of {each.seeds} seeds." for each in together if each.seeds > 1]


def _by_recipe(sides: Sequence[Side]) -> list[list[Side]]:
    """Lists of sides; trainings of the same seed, or of which nothing is recorded, stay apart."""
    lists: list[list[Side]] = []
    for side in sides:
        own = next(
            (
                each
                for each in lists
                if side.recipe
                and side.seed
                and each[0].configuration == side.configuration
                and side.seed not in {other.seed for other in each}
            ),
            None,
        )
        if own is None:
            lists.append([side])
        else:
            own.append(side)
    return lists


def _configuration(sides: Sequence[Side]) -> Configuration:
    first = sides[0].name
    return Configuration(first if len(sides) == 1 else f"{first} ({len(sides)} seeds)", tuple(sides))
