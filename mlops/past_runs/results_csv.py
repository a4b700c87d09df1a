"""Read Ultralytics' `results.csv`, one row per epoch; rename metrics of other tools.

The new names are those of this product's trainings: `train/...`, `val/...`, `test/...`, `lr/...`. A
name with such a prefix is not changed.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mlops.errors import RunFault
from mlops.files.limits import EPOCHS, HISTORY_BYTES, SECONDS
from mlops.files.text_files import bare, quoted, read_text
from mlops.past_runs.past_run import PastRow, Rows

_EPOCH, _TIME = "epoch", "time"


class _BadLine(Exception):
    """An error in a line; the caller adds its position."""


def read_table(file: Path) -> Rows:
    """The epochs of `file`, with renamed metrics. Raises RunFault if it cannot be read."""
    text = read_text(file, HISTORY_BYTES, RunFault, nul="cut")
    lines = _lines(text, file)
    if not lines:
        return Rows((), (f"{file} is empty: no epoch was finished",))
    header = lines[0][1]
    _check_header(header, file)
    warnings: list[str] = []
    found: dict[int, PastRow] = {}
    for line, cells in lines[1:]:
        where = f"{file}:{line}"
        if cells == header:
            warnings.append(f"{where} repeats the header: the following rows count as resumed")
            continue
        unfinished = line == lines[-1][0] and not text.endswith("\n")
        try:
            row = _row(header, cells, file)
        except _BadLine as bad:
            if not (unfinished or (line == lines[-1][0] and len(cells) < len(header))):
                raise RunFault(f"{where}: {bad}; fix or remove the line") from bad
            warnings.append(f"{where}: the last line is incomplete and is ignored")
            continue
        if row.epoch in found:
            warnings.append(f"{where}: epoch {row.epoch} is a duplicate; the later row is used")
        if unfinished:
            warnings.append(f"{where}: the last line has no newline, so its last value may be incomplete")
        warnings += [
            f"{where}: {name} is not finite, stored as NaN"
            for name, value in row.metrics.items()
            if math.isnan(value)
        ]
        found[row.epoch] = row
    return Rows(counted_from_one(found), tuple(warnings))


def counted_from_one(rows: Mapping[int, PastRow]) -> tuple[PastRow, ...]:
    """Sorted; numbers from 0 are shifted by 1."""
    shift = 1 if 0 in rows else 0
    return tuple(replace(rows[epoch], epoch=epoch + shift) for epoch in sorted(rows))


def finite_or_nan(value: float) -> float:
    """NaN instead of infinite values, which MLflow would store as large numbers."""
    return value if math.isfinite(value) else math.nan


def _lines(text: str, file: Path) -> list[tuple[int, list[str]]]:
    """Every line that is not empty, with its number and its cells."""
    reader = csv.reader(io.StringIO(text))
    try:
        read = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise RunFault(f"{file}:{reader.line_num}: {error}; pass the file written by training") from error
    return [(line, cells) for line, cells in read if any(cells)]


def _check_header(header: Sequence[str], file: Path) -> None:
    if _EPOCH not in header:
        raise RunFault(f"{file} has no column 'epoch' in its first line; pass the table written by training")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RunFault(
            f"{file} has the column {quoted(twice[0], file)} more than once; rename or remove one of them"
        )


def _row(header: Sequence[str], cells: Sequence[str], file: Path) -> PastRow:
    if len(cells) != len(header):
        raise _BadLine(f"{len(cells)} columns, but the header has {len(header)}")
    values = {
        name: _number(bare(name, file), cell, file) for name, cell in zip(header, cells, strict=True) if cell
    }
    epoch = values.pop(_EPOCH, math.nan)
    if epoch != int(epoch if math.isfinite(epoch) else -1) or not 0 <= epoch <= EPOCHS:
        given = quoted(cells[header.index(_EPOCH)], file)
        raise _BadLine(f"epoch is {given}, not a whole number up to {EPOCHS:,}")
    elapsed = values.pop(_TIME, math.nan)
    if math.isfinite(elapsed) and not abs(elapsed) <= SECONDS:
        raise _BadLine(f"time is {elapsed:g} s, more than a hundred years")
    metrics = {of_ultralytics(name): finite_or_nan(value) for name, value in values.items()}
    return PastRow(int(epoch), metrics, elapsed_s=elapsed if math.isfinite(elapsed) else None)


def _number(name: str, cell: str, file: Path) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise _BadLine(f"{name} is {quoted(cell, file)}, not a number") from error


OURS = ("train/", "val/", "test/", "lr/", "time/", "balance/")

# Ultralytics and YOLOv5: columns of results.csv
_OF_FIGURES = {"mAP_0.5": "mAP50", "mAP_0.5:0.95": "mAP50-95", "accuracy_top1": "accuracy"}
_HEADS = {"": "", "B": "", "M": "mask_", "P": "pose_"}
_FIGURE = re.compile(r"metrics/(?P<figure>[^()]+?)(?:\((?P<head>[BMP])\))?")
_OLD_RATE = re.compile(r"x/lr(\d+)")

# Keras, Lightning, custom loops: a split, then a metric
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SPLIT = re.compile(
    r"(?P<split>train|training|val|valid|validation|test)[_/ .-](?P<figure>.+)", re.IGNORECASE
)
_RATE = re.compile(r"(?:lr|learning_?rate)(?:[-_/](?P<group>.+))?", re.IGNORECASE)
_FIGURES = {
    "acc": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "f1": "macro_f1",
    "f1_macro": "macro_f1",
    "macro-f1": "macro_f1",
    "f1_score": "macro_f1",
    "map": "mAP50-95",
    "map50": "mAP50",
    "map_50": "mAP50",
    "map_0.5": "mAP50",
    "map50-95": "mAP50-95",
    "map50_95": "mAP50-95",
    "map_0.5:0.95": "mAP50-95",
}
_CLASS_FIGURES = {
    "f1": "F1",
    "f1_per_class": "F1",
    "per_class_f1": "F1",
    "ap50": "AP50",
    "ap50_per_class": "AP50",
    "per_class_ap50": "AP50",
}


def of_ultralytics(column: str) -> str:
    """A column of `results.csv`. Learning rates keep the group numbers of the library, as the
    order of the groups differs between its versions.

    >>> [of_ultralytics(c) for c in ("metrics/mAP50(B)", "metrics/mAP_0.5:0.95", "x/lr0", "train/box_loss")]
    ['val/mAP50', 'val/mAP50-95', 'lr/pg0', 'train/box_loss']
    """
    if column.startswith(OURS):
        return column
    if match := _FIGURE.fullmatch(column):
        figure = match["figure"]
        return f"val/{_HEADS[match['head'] or '']}{_OF_FIGURES.get(figure, figure)}"
    if match := _OLD_RATE.fullmatch(column):
        return f"lr/pg{match[1]}"
    return of_history(column)


def of_history(name: str) -> str:
    """A name in a `history.json`. Without a split it belongs to training, as in Keras.

    >>> [of_history(n) for n in ("loss", "val_acc", "valid/f1", "learning_rate", "lr-AdamW/pg1")]
    ['train/loss', 'val/accuracy', 'val/macro_f1', 'lr/all', 'lr/AdamW/pg1']
    """
    if match := _RATE.fullmatch(name):
        return f"lr/{match['group'] or 'all'}"
    if match := _SPLIT.fullmatch(name):
        return f"{_SPLITS[match['split'].lower()]}/{_figure(match['figure'])}"
    return name if name.startswith(OURS) else f"train/{_figure(name)}"


def _figure(name: str) -> str:
    head, slash, class_name = name.partition("/")
    if slash:
        return f"{_CLASS_FIGURES.get(head.lower(), head)}/{class_name}"
    return _FIGURES.get(head.removesuffix("_epoch").lower(), head.removesuffix("_epoch"))
