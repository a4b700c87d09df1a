"""What a comparison found, as plain values: what is printed, drawn, and given as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlops.metrics.statistics.hypothesis_tests import McNemar
from mlops.metrics.statistics.metric_differences import ComparisonSettings, FigureCompared, Undefined
from mlops.metrics.statistics.recommending import Fact, Recommendation


@dataclass(frozen=True, slots=True)
class Party:
    """One configuration of those compared. runs: MLflow's ids, seeds: of each, "" where not recorded.

    trained_digest, trained_on: the data set's, and the pictures in its training split (None: not recorded).
    thresholds: of each run, the score from which a box counts in precision, recall and F1; () without boxes.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[str, ...]
    system: str
    recipe: str
    trained_digest: str
    trained_on: int | None
    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Growth:
    """How much the training data grew from the baseline to the candidate, and what each figure gained.

    factor: candidate's pictures over the baseline's. points: figure -> difference in percentage points.
    """

    baseline: int
    candidate: int
    factor: float
    points: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Against:
    """One candidate against the baseline. figures: the headlines; classes: the same of each class.

    losses: of the last epoch. mcnemar: None for detectors and for several seeds.
    """

    candidate: Party
    figures: tuple[FigureCompared, ...]
    classes: tuple[FigureCompared, ...]
    undefined: tuple[Undefined, ...]
    mcnemar: McNemar | None
    facts: tuple[Fact, ...]
    losses: tuple[Fact, ...]
    growth: Growth | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """tested: what on. pictures: that were compared on, by kind of answer (`boxes`, `classes`).

    primary: the figure that decides. tests: how many other figures were tested at once, which their adjusted
    p-values account for.
    """

    baseline: Party
    candidates: tuple[Against, ...]
    tested: str
    tested_digest: str
    split: str
    pictures: Mapping[str, int]
    primary: str
    settings: ComparisonSettings
    tests: int
    recommendation: Recommendation
    notes: tuple[str, ...]
