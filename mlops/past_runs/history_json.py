"""Read `history.json`, the history of a training with Keras, Lightning or a custom loop.

Three formats are supported; the third wraps one of the others::

    {"loss": [0.9, 0.4], "val_accuracy": [0.7, 0.8], "epoch": [1, 2]}          a list per metric
    [{"epoch": 1, "train_loss": 0.9, "val": {"f1": 0.7}}, {"epoch": 2, ...}]    an object per epoch
    {"history": ..., "params": {"lr": 1e-4, "epochs": 50, "patience": 10}, "started": "2025-10-21T09:00:00"}

Without `epoch`, epochs are numbered in order, from 1; numbers from 0 are shifted by 1. Objects of the same
epoch (Lightning logs training and validation separately) are merged. `epoch_s` (`epoch_time`, `seconds`,
`duration`) is an epoch's length, `elapsed_s` (`elapsed`, `time`) what has passed since the start, in seconds;
`at` (`timestamp`) is when the epoch ended, in seconds since 1970 or ISO 8601. null is a missing
value; text is ignored with a warning. Metrics are renamed by `mlops.past_runs.results_csv.of_history`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.errors import RunFault
from mlops.files.limits import EPOCHS, HISTORY_BYTES, SECONDS
from mlops.files.text_files import bare, quoted, read_json
from mlops.past_runs.past_run import PastRow, Rows
from mlops.past_runs.results_csv import counted_from_one, finite_or_nan, of_history

_PARAMS = ("params", "config", "hyperparameters", "args")
_STARTED = ("started", "start_time", "started_at")
_EPOCH_S = ("epoch_s", "epoch_time", "epoch_seconds", "seconds", "duration")
_ELAPSED_S = ("elapsed_s", "elapsed", "time")
_AT = ("at", "timestamp")
_KNOWN = {"epoch", "step", *_EPOCH_S, *_ELAPSED_S, *_AT}


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """A `history.json`. started_ms: None if not stated."""

    rows: Rows
    params: Mapping[str, object] = field(default_factory=dict)
    started_ms: int | None = None


def read_history(file: Path) -> TrainingHistory:
    """Raises RunFault if `file` has none of the formats above."""
    held = read_json(file, HISTORY_BYTES, RunFault)
    if not isinstance(held, dict) or "history" not in held:
        return TrainingHistory(_rows(held, file))
    started = _first(held, _STARTED)
    params = _first(held, _PARAMS)
    if params is not None and not isinstance(params, dict):
        raise RunFault(f"{file}: params is {type(params).__name__}; expected an object of names and values")
    return TrainingHistory(
        _rows(held["history"], file),
        {name: value for name, value in (params or {}).items() if value is not None},
        None if started is None else _moment(started, f"{file}: started", file),
    )


def _rows(held: object, file: Path) -> Rows:
    if isinstance(held, dict):
        objects = _turned(held, file)
    elif isinstance(held, list) and all(isinstance(each, dict) for each in held):
        objects = held
    else:
        raise RunFault(
            f"{file} is neither an object of lists nor a list of epochs; see `mlops import-run --help`"
        )
    warnings: dict[str, None] = {}
    merged: dict[int, dict[str, Any]] = {}
    for number, each in enumerate(objects, start=1):
        epoch = _epoch(each, number, file)
        merged.setdefault(epoch, {}).update({k: v for k, v in _flat(each) if v is not None})
    rows = {epoch: _row(epoch, values, file, warnings) for epoch, values in merged.items()}
    return Rows(counted_from_one(rows), tuple(warnings))


def _turned(lists: Mapping[str, object], file: Path) -> list[dict[str, object]]:
    """Convert lists per metric to an object per epoch."""
    lengths: dict[str, int] = {}
    columns: dict[str, Sequence[object]] = {}
    for name, values in lists.items():
        if not isinstance(values, list):
            raise RunFault(
                f"{file}: {bare(name, file)} is not a list; put values of the whole run under 'params'"
            )
        lengths[name], columns[name] = len(values), values
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise RunFault(
            f"{file}: {bare(short, file)} has {lengths[short]} epochs "
            f"and {bare(long, file)} {lengths[long]}; use null for a missing value"
        )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _epoch(values: Mapping[str, object], number: int, file: Path) -> int:
    epoch = values.get("epoch", number)
    if (
        isinstance(epoch, bool)
        or not isinstance(epoch, (int, float))
        or not 0 <= epoch <= EPOCHS
        or epoch != int(epoch)
    ):
        given = quoted(epoch, file)
        raise RunFault(f"{file}: epoch {given} of entry {number} is not a whole number up to {EPOCHS:,}")
    return int(epoch)


def _flat(values: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """Flatten nested objects; names are joined with `/`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}/")
        else:
            yield before + name, value


def _row(epoch: int, values: Mapping[str, Any], file: Path, warnings: dict[str, None]) -> PastRow:
    metrics: dict[str, float] = {}
    for name, value in values.items():
        if name in _KNOWN or (name.endswith("_step") and f"{name.removesuffix('_step')}_epoch" in values):
            continue
        if not isinstance(value, (int, float)):
            warnings[f"{file}: {bare(name, file)} is ignored: it is {type(value).__name__}, not numbers"] = (
                None
            )
            continue
        metrics[of_history(name)] = finite_or_nan(as_float(value))
        if math.isnan(metrics[of_history(name)]):
            warnings[f"{file}: {bare(name, file)} of epoch {epoch} is not finite, stored as NaN"] = None
    at = _first(values, _AT)
    return PastRow(
        epoch,
        metrics,
        elapsed_s=_seconds(values, _ELAPSED_S),
        epoch_s=_seconds(values, _EPOCH_S),
        at_ms=None if at is None else _moment(at, f"{file}: epoch {epoch}", file),
    )


def _seconds(values: Mapping[str, Any], names: Sequence[str]) -> float | None:
    value = _first(values, names)
    seconds = as_float(value) if isinstance(value, (int, float)) else math.nan
    return seconds if 0 <= seconds <= SECONDS else None


def as_float(value: float) -> float:
    """Infinity for an integer that is too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _first(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _moment(given: object, where: str, file: Path) -> int:
    """ms since 1970; a time without a zone is local time."""
    try:
        if isinstance(given, (int, float)):
            moment = datetime.fromtimestamp(given, UTC)
        else:
            moment = datetime.fromisoformat(str(given))
        if (ms := int(moment.timestamp() * 1000)) >= 0:
            return ms
    except (ValueError, OverflowError, OSError):
        pass
    raise RunFault(
        f"{where}: {quoted(given, file)} is not a time since 1970; use 2025-10-21T09:00:00, "
        "or seconds since 1970"
    )
