"""One training of a comparison, and the grouping of seeds into configurations."""

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
    """A detector's table. classes: names that occur in it, by index. pictures: number of tested images,
    including those without a box; None if not recorded.
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
    """The test data of a training. name: from the run. digest: SHA-256 (hex), "" if unknown."""

    name: str
    digest: str
    split: str


@dataclass(frozen=True, slots=True)
class CandidateLatency:
    """Latency of the ONNX file with batch size 1, measured by `mlops registry measure`."""

    device: str
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Costs:
    """None: not recorded. training_s: sum of the epochs. images_per_s: in training, mean over epochs."""

    parameters: float | None = None
    onnx_bytes: float | None = None
    weights_bytes: float | None = None
    training_s: float | None = None
    epochs: float | None = None
    images_per_s: float | None = None
    latency: CandidateLatency | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One training. name: for display; run_id: MLflow's.

    classes: of its training data, in order. trained_on: number of images in its training split.
    threshold: the score threshold that `mlops evaluate` chose for it. losses: of the last epoch, `train/...`
    and `val/...`.
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
        """The key that trainings with different seeds share."""
        return self.system, self.recipe, self.trained_digest


@dataclass(frozen=True, slots=True)
class Configuration:
    """Trainings that differ only in their seed, usually one. name: for display."""

    name: str
    sides: tuple[Side, ...]

    @property
    def seeds(self) -> int:
        return len(self.sides)


AT_LEAST_TWO = "at least two versions, runs or studies are required"


def grouped(sides: Sequence[Side], *, apart: bool = False) -> tuple[list[Configuration], list[str]]:
    """Group sides of the same system, recipe and training data with different seeds; returns notes, too.

    The first side's configuration comes first. apart: do not group. If all sides are seeds of one
    configuration, they are not grouped either.
    """
    if len(sides) < 2:
        raise NotComparable(AT_LEAST_TWO)
    together = [_configuration(own) for own in _by_recipe(sides)]
    if apart or len(together) == len(sides):
        return [Configuration(side.name, (side,)) for side in sides], []
    if len(together) == 1:
        note = (
            f"All {len(sides)} are seeds of one configuration, so they are compared separately: the "
            "differences show the effect of the seed."
        )
        return [Configuration(side.name, (side,)) for side in sides], [note]
    return together, [f"{each.name}: the mean of {each.seeds} seeds." for each in together if each.seeds > 1]


def _by_recipe(sides: Sequence[Side]) -> list[list[Side]]:
    """Lists of sides; trainings with the same seed, or without a recorded recipe or seed, are not grouped."""
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
