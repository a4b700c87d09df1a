"""`results.csv`, one row an epoch, as Ultralytics writes it; and what becomes of one that is not whole.

| found | done |
|---|---|
| headers and figures padded with spaces, a byte-order mark, empty lines | read |
| epochs counted from 0 | counted from 1 |
| NaN, inf | kept as NaN, warned of |
| an empty cell | that figure is missing in that epoch |
| a last line that is cut short (too few columns, or half a number and no line end) | left out, warned of |
| the header once more; an epoch once more (a training that was resumed) | the later row counts, warned of |
| any other line with more or fewer columns than the header, or with a word for a number | refused |
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mlops.errors import RunFault
from mlops.imports.names import of_ultralytics
from mlops.imports.past import Row, Rows

_EPOCH, _TIME = "epoch", "time"


class _BadLine(Exception):
    """What is wrong with a line, to be put behind its place."""


def read_table(file: Path) -> Rows:
    """The epochs of `file`, with metrics in our names. Raises RunFault where it cannot be read."""
    text = read_text(file)
    lines = _lines(text, file)
    if not lines:
        return Rows((), (f"{file} is empty: no epoch was finished",))
    header = lines[0][1]
    _check_header(header, file)
    warnings: list[str] = []
    found: dict[int, Row] = {}
    for line, cells in lines[1:]:
        where = f"{file}:{line}"
        if cells == header:
            warnings.append(f"{where} holds the header once more: what follows counts as resumed")
            continue
        unfinished = line == lines[-1][0] and not text.endswith("\n")
        try:
            row = _row(header, cells)
        except _BadLine as bad:
            if not (unfinished or (line == lines[-1][0] and len(cells) < len(header))):
                raise RunFault(f"{where}: {bad}; mend the line or take it out") from bad
            warnings.append(f"{where}: the last line is cut short and is left out")
            continue
        if row.epoch in found:
            warnings.append(f"{where}: epoch {row.epoch} is there once more; the later row counts")
        if unfinished:
            warnings.append(f"{where}: the last line has no end, its last figure may be cut short")
        warnings += [
            f"{where}: {name} is not finite, kept as NaN"
            for name, value in row.metrics.items()
            if math.isnan(value)
        ]
        found[row.epoch] = row
    return Rows(counted_from_one(found), tuple(warnings))


def read_text(file: Path) -> str:
    """Raises RunFault for what is no text."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunFault(
            f"{file} is no text (byte {error.start}); give the file that training wrote"
        ) from error


def counted_from_one(rows: Mapping[int, Row]) -> tuple[Row, ...]:
    """In order; tools that count from 0 are put right."""
    shift = 1 if 0 in rows else 0
    return tuple(replace(rows[epoch], epoch=epoch + shift) for epoch in sorted(rows))


def finite_or_nan(value: float) -> float:
    """MLflow would turn infinite values into large ones."""
    return value if math.isfinite(value) else math.nan


def _lines(text: str, file: Path) -> list[tuple[int, list[str]]]:
    """Every line that is not empty, with its number and its cells."""
    reader = csv.reader(io.StringIO(text))
    try:
        read = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise RunFault(f"{file}:{reader.line_num}: {error}; give the file that training wrote") from error
    return [(line, cells) for line, cells in read if any(cells)]


def _check_header(header: Sequence[str], file: Path) -> None:
    if _EPOCH not in header:
        raise RunFault(f"{file} has no column 'epoch' in its first line; give the table that training wrote")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RunFault(f"{file} has the column {twice[0]!r} more than once; rename or remove one of them")


def _row(header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise _BadLine(f"{len(cells)} columns where the header has {len(header)}")
    values = {name: _number(name, cell) for name, cell in zip(header, cells, strict=True) if cell}
    epoch = values.pop(_EPOCH, math.nan)
    if epoch != int(epoch if math.isfinite(epoch) else -1) or epoch < 0:
        raise _BadLine(f"epoch is {cells[header.index(_EPOCH)]!r}, not a whole number")
    elapsed = values.pop(_TIME, math.nan)
    metrics = {of_ultralytics(name): finite_or_nan(value) for name, value in values.items()}
    return Row(int(epoch), metrics, elapsed_s=elapsed if math.isfinite(elapsed) else None)


def _number(name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise _BadLine(f"{name} is {cell[:40]!r}, not a number") from error
