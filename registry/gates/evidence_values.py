"""Everything that gates read of one version, as plain values.

Evidence holds measured facts and no time of day, so that gathering it twice over the same version gives the
same. What was not measured is None or absent, never a guess: a gate without its figure refuses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Latency:
    """One picture at a time through the version's ONNX file.

    device: the machine's processor and its cores, in words. calls: timed ones, after the warm-up.
    threads: ONNX Runtime's own. onnx_digest: SHA-256 of the file that was timed.
    """

    device: str
    threads: int
    calls: int
    p50_ms: float
    p95_ms: float
    size_bytes: int
    onnx_digest: str


@dataclass(frozen=True, slots=True)
class Parity:
    """An exported file held against the original on `pictures` held-out pictures.

    difference: the largest absolute difference of a probability or a score. agreement: the share of
    pictures with the same top-1 class (classifier) or of boxes matched with the same class (detector).
    digest: SHA-256 of the exported file. original: of the version's ONNX file that was exported.
    passed: whether the export kept the file; one that costs too much of a metric it leaves out.
    """

    format: str
    pictures: int
    difference: float
    agreement: float
    digest: str
    original: str = ""
    passed: bool = True


@dataclass(frozen=True, slots=True)
class ChampionComparison:
    """The version against the one in its target stage, on the same pictures (`evaluation.statistics.paired`).

    difference, low, high: this version's `metric` less the champion's, and its interval at `confidence`.
    verdict: "better", "not worse", "worse" or "not distinguishable"; "" when it could not be compared, for
    the reason in `problem`.
    """

    champion: str
    metric: str
    confidence: float
    margin: float
    samples: int = 0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    verdict: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """demo: made by our own code; None: not recorded. digest: "" where unknown.

    faults: how often the data check found each code of `mlops.data.faults`, as "severity/code"; None where
    no check was kept with the study.
    """

    digest: str = ""
    demo: bool | None = None
    faults: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's last word on the version; a later one of the same person replaces it."""

    who: str
    approves: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of `model` version `version` when it is judged.

    champion: the version now in the stage that this one is to enter; "" where there is none.
    metrics: `test/...` of the held-out test; `val/...`, `train/...` of the epoch whose weights are shipped.
    classes: in the order of the model's outputs.
    onnx_digest: of the file that training made, by its tag; "" where none was recorded.
    files: path below the version's folder to SHA-256. unsafe: what a pickle in them could call, each
    "file: module.name"; None where the files could not be read.
    trained_by: the user of the training run. trainers: every name that the run or the version gives for
    whoever trained it; more than one where a tag was changed afterwards.
    stage: the one that the approvals are for.
    """

    model: str
    version: str
    champion: str = ""
    run_id: str = ""
    trained_by: str = ""
    trainers: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    licence: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: DataFacts = field(default_factory=DataFacts)
    onnx_digest: str = ""
    files: Mapping[str, str] | None = None
    unsafe: tuple[str, ...] | None = None
    latency: Latency | None = None
    parity: tuple[Parity, ...] = ()
    comparisons: tuple[ChampionComparison, ...] = ()
    approvals: tuple[Approval, ...] = ()
    stage: str = ""

    @property
    def name(self) -> str:
        """`model/version`, as commands take it."""
        return f"{self.model}/{self.version}"


def with_approvals(evidence: Evidence, approvals: tuple[Approval, ...], stage: str = "") -> Evidence:
    """The same evidence with what people said of it entering `stage`, each person's last word only."""
    last = {each.who: each for each in approvals}
    return replace(evidence, approvals=tuple(last[who] for who in sorted(last)), stage=stage)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Without what is no number (MLflow keeps NaN, and 1.797e308 for infinity): that was not measured."""
    return {name: value for name, value in metrics.items() if math.isfinite(value) and abs(value) < 1e308}
