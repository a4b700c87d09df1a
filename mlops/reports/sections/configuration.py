"""The settings: the ones that are looked at first, then all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.cells import Cells, words
from mlops.reports.document import Missing, Section, Table

if TYPE_CHECKING:
    from mlops.reports.facts import ReportData

TITLE = "Configuration"
_FIRST = (
    ("model", ("model",)),
    ("pretrained weights", ("weights", "pretrained")),
    ("image size", ("image_size", "imgsz")),
    ("batch size", ("batch", "batch_size")),
    ("accumulated batches", ("accumulate",)),
    ("epochs planned", ("epochs",)),
    ("patience", ("patience",)),
    ("optimizer", ("optimizer",)),
    ("learning rate", ("lr0", "lr")),
    ("final learning rate, as a fraction", ("lrf",)),
    ("schedule", ("schedule",)),
    ("cosine learning rate", ("cos_lr",)),
    ("weight decay", ("weight_decay",)),
    ("warm-up epochs", ("warmup_epochs",)),
    ("mixed precision", ("amp",)),
    ("loading processes", ("workers",)),
    ("device", ("device",)),
    ("seed", ("seed",)),
)


def build(data: ReportData) -> Section | Missing:
    run, cells = data.run, Cells(data.run)
    if not run.params:
        return Missing(TITLE, "No settings were recorded with this run.")
    rows = []
    for says, names in _FIRST:
        held = next((name for name in names if name in run.params), None)
        if held is not None:
            rows.append((words(says), cells.param(held)))
    every = tuple((words(name), cells.param(name)) for name in sorted(run.params))
    libraries = sorted(tag for tag in run.tags if tag.startswith("mlops.lib."))
    versions = tuple((words(tag.removeprefix("mlops.lib.")), cells.tag(tag)) for tag in libraries)
    blocks = [Table(("setting", "value"), tuple(rows))] if rows else []
    blocks.append(Table(("setting", "value"), every, f"all {len(every)} settings", folded=True))
    if versions:
        blocks.append(Table(("library", "version"), versions, "libraries", folded=True))
    return Section(TITLE, tuple(blocks))
