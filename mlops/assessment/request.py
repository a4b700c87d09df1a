"""What is to be measured, as it was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.data.dataset import SplitName
    from mlops.evaluation.metrics.thresholds import Rule

EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Request:
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
    rule: Rule | None = None
    again: bool = False
    other_data: bool = False
    froc: bool | None = None
    tta: bool = False
    others: tuple[str, ...] = ()
    examples: int = EXAMPLES
    threads: int = 0
    out: Path | None = None
