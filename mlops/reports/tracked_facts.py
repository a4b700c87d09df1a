"""The tracked data of a training as plain values, the only source of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlops.store.histories import Curve

RUN_PREFIXES = ("train/", "val/", "lr/", "time/", "balance/")


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The data set of a run.

    digest: 36 characters as kept by MLflow, or the whole digest from the run's tag.
    pictures: number of images by split. counts: annotated objects (detection) or images (classification) by
    split and class; empty if not recorded.
    """

    name: str
    digest: str = ""
    version: str = ""
    pictures: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a run's artifacts."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One training in MLflow.

    ended_ms: None while it runs. curves: by metric name; only the main metric for a run that is listed with
    others. latest: the last value of every metric. files: None if they could not be listed, for the reason in
    `files_problem`.
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
        """Names of metrics that begin with `prefix`, in order."""
        return tuple(sorted(key for key in self.curves if key.startswith(prefix)))

    @property
    def epochs(self) -> tuple[int, ...]:
        """All epochs with a training or validation metric."""
        found = {
            step
            for key, curve in self.curves.items()
            if key.startswith(("train/", "val/", "balance/"))
            for step in curve.steps
        }
        return tuple(sorted(found))

    @property
    def last_logged_ms(self) -> int:
        """Time of the newest metric; the start if there is none."""
        times = [curve.times_ms[-1] for curve in self.curves.values() if curve.times_ms]
        return max(times, default=self.started_ms)

    @property
    def wall_s(self) -> float:
        """Seconds from start to end, or to the newest metric while it runs."""
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

    searched: the settings in the search space. lost: trials that were deleted while they were read.
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
    """One condition of the release policy, with the reached value.

    minimum, target, stretch, reached: text with units, or "". value: the value that decides, None if unknown.
    level: the highest level reached, "none", or "not measured". metrics: names of the metrics used.
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
    """All data of a report.

    run: the training reported in full: the best of a study, or the one that trained a version.
    sessions: trainings to list, newest last. criteria: None for the reason in `no_criteria`.
    equal_weights: a run to compare a GradNorm run with.
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
