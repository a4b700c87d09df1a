"""What an evaluation is asked for and what it finds, as values and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.data.dataset import SplitName
    from mlops.metrics.thresholds import ThresholdRule

from mlops.terminal.tables import aligned


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table for people: a title, the columns' names, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class EvaluationVariant:
    """Another way of asking, beside the version alone: what it gains and what it costs.

    key: before its figures' names on the run.
    metrics, alone: the same figures of this way and of the version alone. calls: model runs a picture.
    latency_ms, alone_ms: median of one picture, decoding to answer, on this machine.
    """

    key: str
    name: str
    metrics: Mapping[str, float]
    alone: Mapping[str, float]
    calls: int
    latency_ms: float
    alone_ms: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """digest, pictures: of the data that it was measured on. predicted: whether the ONNX file was asked, or
    the table on the run sufficed. metrics: by their names on the run. threshold: None for a classifier.
    files: on the run. notes: what a reader has to know, a sentence each.
    """

    name: str
    run_id: str
    split: str
    data: str
    digest: str
    pictures: int
    predicted: bool
    metrics: Mapping[str, float]
    threshold: float | None
    threshold_rule: str
    threshold_from: str
    sheets: tuple[Sheet, ...]
    variants: tuple[EvaluationVariant, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]


def as_text(found: Evaluation) -> str:
    """For a terminal."""
    asked = "asked its ONNX file" if found.predicted else "from the table on its run"
    lines = [
        f"{found.name} on the {found.split} split of {found.data}: {found.pictures} pictures, "
        f"digest {found.digest[:16]} ({asked})"
    ]
    if found.threshold is not None:
        lines.append(
            f"threshold {found.threshold:.4f} by the rule {found.threshold_rule}, {found.threshold_from}"
        )
    for sheet in found.sheets:
        lines += ["", sheet.title, _numbers([sheet.columns, *sheet.rows])]
    for variant in found.variants:
        lines += ["", _told(variant)]
    if found.notes:
        lines += ["", *(f"note: {note}" for note in found.notes)]
    folders = sorted({file.rpartition("/")[0] for file in found.files})
    lines += ["", f"{len(found.files)} files on run {found.run_id} in {', '.join(folders)}"]
    return "\n".join(lines)


def _numbers(rows: Sequence[tuple[str, ...]]) -> str:
    """Names in the first column, numbers in the others."""
    return aligned(rows, right=range(1, len(rows[0])))


def _told(variant: EvaluationVariant) -> str:
    rows = [(variant.name, "alone", "so", "difference")]
    for name, value in variant.metrics.items():
        alone = variant.alone[name]
        rows.append((name, f"{alone:.4f}", f"{value:.4f}", f"{value - alone:+.4f}"))
    cost = variant.latency_ms / variant.alone_ms if variant.alone_ms else float("nan")
    rows.append(
        (
            "ms a picture (median)",
            f"{variant.alone_ms:.1f}",
            f"{variant.latency_ms:.1f}",
            f"{cost:.1f} times",
        )
    )
    return _numbers(rows)


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
