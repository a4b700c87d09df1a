"""The kinds of conditions in a policy's YAML; `registry.gates.judge` evaluates them.

A metric's limit has the level `minimum` and optionally `target` and `stretch`; `require` names the level that
must be reached, the others are reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from mlops.files.typed_yaml import Strict

Level: TypeAlias = Literal["minimum", "target", "stretch"]
LEVELS: tuple[Level, ...] = ("minimum", "target", "stretch")


def _no_truth_value(given: object) -> object:
    """Rejects booleans, as a floor of `no` would be 0 and let everything pass."""
    if isinstance(given, bool):
        raise ValueError("a number, not true or false")
    return given


MOST = 1e12  # in size; a larger limit is a mistake
Number = Annotated[float, BeforeValidator(_no_truth_value), Field(ge=-MOST, le=MOST)]
Whole = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=0, le=2**32 - 1)]
Share = Annotated[Number, Field(gt=0, lt=1)]


class _Levelled(Strict):
    """A limit with up to three levels."""

    minimum: Number
    target: Number | None = None
    stretch: Number | None = None
    require: Level = "minimum"

    def limits(self) -> dict[Level, float]:
        """The levels with a value."""
        given: dict[Level, float | None] = {
            "minimum": self.minimum,
            "target": self.target,
            "stretch": self.stretch,
        }
        return {level: limit for level, limit in given.items() if limit is not None}

    @model_validator(mode="after")
    def _required_level_is_given(self) -> _Levelled:
        if self.require not in self.limits():
            raise ValueError(f"a value for {self.require}, as the gate has require: {self.require}")
        return self


class Floor(_Levelled):
    """`metric` is at least the required level."""

    kind: Literal["floor"]
    metric: str

    @property
    def name(self) -> str:
        return f"{self.metric} floor"


class Ceiling(Strict):
    """`metric` is at most `at_most`."""

    kind: Literal["ceiling"]
    metric: str
    at_most: Number

    @property
    def name(self) -> str:
        return f"{self.metric} ceiling"


class PerClass(_Levelled):
    """`<metric>/<class>` of every class is at least the required level, or its own limit in `classes`."""

    kind: Literal["per class"]
    metric: str
    classes: Mapping[str, Number] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.metric} per class"


class GapLimit(Strict):
    """|`of` - `to`| is at most `at_most`; with `one_sided` only `of` above `to` counts.

    grades: names for gaps below a limit, reported with the result.
    """

    kind: Literal["gap"]
    of: str
    to: str
    at_most: Number
    one_sided: bool = False
    grades: Mapping[str, Number] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.of} - {self.to} gap"


class NotWorse(Strict):
    """The paired bootstrap against the current version of the stage gives one of the verdicts in `accept`."""

    kind: Literal["not worse"]
    metric: str
    confidence: Share = 0.95
    margin: Annotated[Number, Field(ge=0)] = 0.0
    draws: Annotated[Whole, Field(ge=100, le=100_000)] = 2000
    seed: Whole = 0
    accept: tuple[Literal["better", "not worse", "not distinguishable", "worse"], ...] = (
        "better",
        "not worse",
    )

    @property
    def name(self) -> str:
        return f"{self.metric} against the champion"


class LatencyLimit(Strict):
    """Latency of the ONNX file with batch size 1: p50 and p95, or images per second (1000 / p50).

    device: text that the device name must contain; "" accepts any.
    """

    kind: Literal["latency"]
    p50_ms: Annotated[Number, Field(gt=0)] | None = None
    p95_ms: Annotated[Number, Field(gt=0)] | None = None
    per_second: Annotated[Number, Field(gt=0)] | None = None
    device: str = ""

    @property
    def name(self) -> str:
        return "latency"

    @model_validator(mode="after")
    def _one_limit(self) -> LatencyLimit:
        if self.p50_ms is None and self.p95_ms is None and self.per_second is None:
            raise ValueError("at least one of p50_ms, p95_ms and per_second")
        return self


class Size(Strict):
    """The ONNX file is at most `at_most_mb` (10^6 bytes)."""

    kind: Literal["size"]
    at_most_mb: Annotated[Number, Field(gt=0)]

    @property
    def name(self) -> str:
        return "file size"


class ParityLimit(Strict):
    """The exported file of `format` gives the same outputs as the original."""

    kind: Literal["parity"]
    format: str = "onnx"
    difference: Annotated[Number, Field(ge=0)]
    agreement: Annotated[Number, Field(ge=0, le=1)]

    @property
    def name(self) -> str:
        return f"{self.format} parity"


class DataSound(Strict):
    """No demo data, a known digest, no error in the data check, no image in two splits.

    shared: the check's codes that count as a shared image. demo: "allowed" for trial runs.
    """

    kind: Literal["data"]
    demo: Literal["refused", "allowed"] = "refused"
    shared: tuple[str, ...] = ("identical-across-splits",)

    @property
    def name(self) -> str:
        return "data"


class LicenceKnown(Strict):
    """The version's licence is stated and, if `allowed` is not empty, one of them."""

    kind: Literal["licence"]
    allowed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "licence"


class SafeFiles(Strict):
    """No file of the version contains a pickle that could call anything but tensors and plain containers."""

    kind: Literal["safe files"]

    @property
    def name(self) -> str:
        return "safe files"


class Approvals(Strict):
    """At least `at_least` people approve and none rejects; the trainer of the version does not count."""

    kind: Literal["approvals"]
    at_least: Annotated[Whole, Field(ge=1)] = 1

    @property
    def name(self) -> str:
        return "approvals"


Gate: TypeAlias = (
    Floor
    | Ceiling
    | PerClass
    | GapLimit
    | NotWorse
    | LatencyLimit
    | Size
    | ParityLimit
    | DataSound
    | LicenceKnown
    | SafeFiles
    | Approvals
)
AnyGate = Annotated[Gate, Field(discriminator="kind")]
