"""Everything that gates read about one version, as plain values.

Evidence contains no timestamps, so gathering it twice for the same version gives the same values. A value
that was not measured is None or absent, and the gate that needs it refuses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of the version's ONNX file with batch size 1.

    device: the CPU and its cores. calls: timed calls, after the warm-up. threads: ONNX Runtime's threads.
    onnx_digest: SHA-256 of the timed file.
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
    """An exported file compared with the original on `pictures` held-out images.

    difference: maximum absolute difference of a probability or a score. agreement: fraction of images with
    the same top-1 class (classifier) or of boxes matched with the same class (detector).
    digest: SHA-256 of the exported file. original: SHA-256 of the version's ONNX file.
    passed: whether the file is in the bundle; the export drops a file that exceeds its limits.
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
    """The version compared with the one in its target stage, on the same images.

    difference, low, high: this version's `metric` minus the champion's, and its interval at `confidence`.
    verdict: "better", "not worse", "worse" or "not distinguishable"; "" if they could not be compared, for
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
    """demo: whether the data are demo data; None: not recorded. digest: "" if unknown.

    faults: number of faults of the data check by "severity/code" (see `mlops.data.faults`); None if the study
    has no stored check.
    """

    digest: str = ""
    demo: bool | None = None
    faults: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's last verdict on the version."""

    who: str
    approves: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of `model` version `version`.

    champion: the version currently in the target stage; "" without one.
    metrics: `test/...` of the held-out test; `val/...`, `train/...` at the epoch of the shipped weights.
    classes: in the order of the model's outputs.
    onnx_digest: of the file written by training, from its tag; "" if not recorded.
    files: path below the version's folder to SHA-256. unsafe: what a pickle in them could call, each
    "file: module.name"; None if the files could not be read.
    trained_by: the user of the training run. trainers: every name that the run or the version gives for who
    trained it; more than one if a tag was changed.
    stage: the stage of the approvals.
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
        """`model/version`, as in commands."""
        return f"{self.model}/{self.version}"


def with_approvals(evidence: Evidence, approvals: tuple[Approval, ...], stage: str = "") -> Evidence:
    """The evidence with the approvals for `stage`; only each person's last verdict is kept."""
    last = {each.who: each for each in approvals}
    return replace(evidence, approvals=tuple(last[who] for who in sorted(last)), stage=stage)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Without NaN and infinity (which MLflow stores as 1.797e308); they count as not measured."""
    return {name: value for name, value in metrics.items() if math.isfinite(value) and abs(value) < 1e308}
