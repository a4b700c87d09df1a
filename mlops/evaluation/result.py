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
    """One table: a title, the names of the columns, and rows with as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class EvaluationVariant:
    """A variant of the evaluation (test-time augmentation or ensemble): its gain and cost.

    key: prefix of its metrics on the run.
    metrics, alone: the metrics with the variant and without. calls: model calls per image.
    latency_ms, alone_ms: median for one image, from decoding to result, on this machine.
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
    """digest, pictures: of the data that it was evaluated on. predicted: whether inference was run; else the
    stored table was used. metrics: by their names on the run. threshold: None for a classifier.
    files: on the run. notes: for the reader, one sentence each.
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
    """The result as text for a terminal."""
    asked = "inference run" if found.predicted else "stored per-sample results"
    lines = [
        f"{found.name} on the {found.split} split of {found.data}: {found.pictures} images, "
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
    rows = [(variant.name, "without", "with", "difference")]
    for name, value in variant.metrics.items():
        alone = variant.alone[name]
        rows.append((name, f"{alone:.4f}", f"{value:.4f}", f"{value - alone:+.4f}"))
    cost = variant.latency_ms / variant.alone_ms if variant.alone_ms else float("nan")
    rows.append(
        (
            "ms per image (median)",
            f"{variant.alone_ms:.1f}",
            f"{variant.latency_ms:.1f}",
            f"{cost:.1f} times",
        )
    )
    return _numbers(rows)


EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """given: version or run. cache: folder for data derived from the data set.

    data: (): the training data. other_data: allow data with another digest.
    rule: None: the system's default. again: run inference even if per-sample results exist.
    froc: None: only for medical systems. others: versions to ensemble with.
    examples: images of each kind in the gallery; 0: none. threads: of ONNX Runtime; 0: as many as the machine
        or the container gives.
    out: additional output folder; None: none.
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
