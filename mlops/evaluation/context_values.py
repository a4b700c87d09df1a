"""What every step of an evaluation works with, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops.drawing.example_choice import Example
    from mlops.evaluation.held_out_data import HeldOutData
    from mlops.evaluation.result import EvaluationRequest, Sheet
    from mlops.evaluation.sample_sources import SampleSource
    from mlops.metrics.samples.boxes import Boxes
    from mlops.metrics.samples.sample_tables import ClassTable
    from mlops.store.resolve import Subject


MEDICAL = ("oct-detector", "xray-detector", "joint-detector")
SYSTEM_TAG = "mlops.system"


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """folder: for the files to log to the run."""

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
    """The results of one table. kept: new tables to log, (file, folder on the run). files: plots, below
    `EvaluationContext.folder`.
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
