"""What is to be evaluated, as it was requested, and what every step works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops.data.dataset import SplitName
    from mlops.drawing.example_choice import Example
    from mlops.evaluation.held_out_data import HeldOutData
    from mlops.evaluation.result import Sheet
    from mlops.evaluation.sample_sources import SampleSource
    from mlops.metrics.samples.boxes import Boxes
    from mlops.metrics.samples.sample_tables import ClassTable
    from mlops.metrics.thresholds import ThresholdRule
    from mlops.store.resolve import Subject

EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """given: what a person calls the version or run. cache: where what is derived from data is kept.

    data: (): what the run was trained on. other_data: measure on data of another digest, too.
    rule: None for the system's own. again: ask the ONNX file though a table is there.
    froc: None for the medical systems alone. others: versions that vote together with this one.
    examples: pictures of each kind in the gallery, 0 for none. threads: ONNX Runtime's, 0 for one a core.
    out: a folder that gets what the run gets, None for none.
    """

    given: str
    cache: Path
    data: tuple[str, ...] = ()
    class_map: Path | None = None
    split: SplitName = "test"
    rule: ThresholdRule | None = None
    again: bool = False
    other_data: bool = False
    froc: bool | None = None
    tta: bool = False
    others: tuple[str, ...] = ()
    examples: int = EXAMPLES
    threads: int = 0
    out: Path | None = None


MEDICAL = ("oct-detector", "xray-detector", "joint-detector")
SYSTEM_TAG = "mlops.system"


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """folder: where files for the run are made."""

    client: MlflowClient
    request: EvaluationRequest
    subject: Subject
    run: Run
    source: SampleSource
    held: HeldOutData
    folder: Path

    @property
    def medical(self) -> bool:
        return self.run.data.tags.get(SYSTEM_TAG, "") in MEDICAL


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was found on one table. kept: the table itself, where it was made anew, and others that were
    needed: (file, folder on the run). files: drawings, below `EvaluationContext.folder`.
    """

    table: Boxes | ClassTable
    classes: tuple[str, ...]
    metrics: dict[str, float]
    sheets: tuple[Sheet, ...]
    files: list[Path]
    examples: list[Example]
    kept: list[tuple[Path, str]]
    predicted: bool
    notes: list[str] = field(default_factory=list)
    threshold: float | None = None
    threshold_rule: str = ""
    threshold_from: str = ""
