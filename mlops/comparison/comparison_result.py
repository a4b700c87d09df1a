"""The result of a comparison as plain values; printed, drawn and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlops.metrics.statistics.hypothesis_tests import McNemar
from mlops.metrics.statistics.metric_differences import ComparisonSettings, FigureCompared, Undefined
from mlops.metrics.statistics.recommending import Fact, Recommendation


@dataclass(frozen=True, slots=True)
class Party:
    """One compared configuration. runs: MLflow's run IDs. seeds: of each run, "" if not recorded.

    trained_digest, trained_on: digest and number of images of the training data (None: not recorded).
    thresholds: of each run, the score threshold for precision, recall and F1; () without boxes.
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
    """Growth of the training data from the baseline to the candidate, and the gain of each metric.

    factor: candidate's images / baseline's images. points: metric -> difference in percentage points.
    """

    baseline: int
    candidate: int
    factor: float
    points: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Against:
    """One candidate compared with the baseline. figures: overall metrics; classes: metrics per class.

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
    """tested: name of the test data. pictures: number of compared images, by task (`boxes`, `classes`).

    primary: the metric that decides. tests: number of other metrics, for which p-values are adjusted.
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
