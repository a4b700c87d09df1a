"""What every step of an evaluation works with, and what it adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops.assessment.data import HeldOut
    from mlops.assessment.request import Request
    from mlops.assessment.result import Sheet
    from mlops.assessment.tables import Source
    from mlops.evaluation.drawing.gallery import Example
    from mlops.evaluation.samples.boxes import Boxes
    from mlops.evaluation.samples.tables import Answers
    from mlops.tracking.subject import Subject

MEDICAL = ("oct-detector", "xray-detector", "joint-detector")
SYSTEM_TAG = "mlops.system"


@dataclass(frozen=True, slots=True)
class Scene:
    """folder: where files for the run are made."""

    client: MlflowClient
    request: Request
    subject: Subject
    run: Run
    source: Source
    held: HeldOut
    folder: Path

    @property
    def medical(self) -> bool:
        return self.run.data.tags.get(SYSTEM_TAG, "") in MEDICAL


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found on one table. kept: the table itself, where it was made anew, and others that were
    needed: (file, folder on the run). files: drawings, below `Scene.folder`.
    """

    table: Boxes | Answers
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
