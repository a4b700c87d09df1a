"""What is known of a training, as plain values. Everything in a report comes from these and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlops.store.histories import Curve

RUN_PREFIXES = ("train/", "val/", "lr/", "time/", "balance/")


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The data set that a run read.

    digest: as long as MLflow keeps it (36 characters), or whole where the run's tag has it.
    images: split to count. counts: split to class to annotated objects (detection) or images
    (classification); empty where they were not recorded.
    """

    name: str
    digest: str = ""
    version: str = ""
    pictures: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file among a run's artifacts."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One training as MLflow holds it.

    ended_ms: None while it runs. curves: by metric name; of a run that is only listed beside others, no
    more than its headline. latest: the last value of every metric. files: None where they could not be
    listed, for the reason in `files_problem`.
    """

    run_id: str
    name: str
    experiment: str = ""
    status: str = ""
    started_ms: int = 0
    ended_ms: int | None = None
    user: str = ""
    parent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    latest: Mapping[str, float] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    files: tuple[StoredFile, ...] | None = ()
    files_problem: str = ""

    def curve(self, key: str) -> Curve | None:
        return self.curves.get(key)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Metrics whose name begins so, in order."""
        return tuple(sorted(key for key in self.curves if key.startswith(prefix)))

    @property
    def epochs(self) -> tuple[int, ...]:
        """Every epoch of which a training or validation figure is known."""
        found = {
            step
            for key, curve in self.curves.items()
            if key.startswith(("train/", "val/", "balance/"))
            for step in curve.steps
        }
        return tuple(sorted(found))

    @property
    def last_logged_ms(self) -> int:
        """When its newest figure was logged; its start where there is none."""
        times = [curve.times_ms[-1] for curve in self.curves.values() if curve.times_ms]
        return max(times, default=self.started_ms)

    @property
    def wall_s(self) -> float:
        """Seconds from its start to its end, or to its newest figure while it runs."""
        ended = self.ended_ms if self.ended_ms is not None else self.last_logged_ms
        return max(ended - self.started_ms, 0) / 1000

    @property
    def planned_epochs(self) -> int | None:
        try:
            return int(self.params["epochs"])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A search: its parent run and its trials, each with the history of `objective` only.

    searched: the settings that it varied. lost: trials whose figures were gone when they were read.
    """

    run: RunFacts
    trials: tuple[RunFacts, ...]
    objective: str
    searched: tuple[str, ...]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedVersion:
    model: str
    version: str
    stage: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition of the release policy, beside what was reached.

    minimum, target, stretch, reached: as text with units, "" where there is none. value: the figure that
    decides, None where it is not known. level: the highest level reached, "none" for none of them, or
    "not measured". metrics: names of the metrics that were read.
    """

    name: str
    stage: str
    minimum: str
    target: str
    stretch: str
    reached: str
    level: str
    value: float | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that a report is made of.

    run: the training that is told of in full: for a study its best, for a version the one that made it.
    sessions: trainings to list, newest last. criteria: None for the reason in `no_criteria`.
    equal_weights: a run to hold a GradNorm run against.
    """

    kind: Literal["run", "study", "model"]
    run: RunFacts
    sessions: tuple[RunFacts, ...] = ()
    study: StudyFacts | None = None
    version: ReportedVersion | None = None
    criteria: tuple[Criterion, ...] | None = None
    no_criteria: str = ""
    equal_weights: RunFacts | None = None

    @property
    def title(self) -> str:
        if self.version is not None:
            return f"{self.version.model} version {self.version.version}"
        if self.study is not None and self.kind == "study":
            return f"study {self.study.run.name}"
        system = self.run.tags.get("mlops.system", "")
        return f"{system}, {self.run.name}" if system else self.run.name or self.run.run_id
