"""Read a folder or a `history.json` as a `PastRun`. Writes nothing and never loads weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops.errors import RunFault
from mlops.files.limits import EPOCHS
from mlops.files.regular_files import exists, refuse_odd
from mlops.files.text_files import read_yaml_file
from mlops.past_runs.history_json import as_float, read_history
from mlops.past_runs.past_run import PastEpoch, PastRow, PastRun, Source, Status
from mlops.past_runs.results_csv import read_table
from mlops.past_runs.status import Ending, Left, how_it_ended, timing_of

ARGUMENTS, TABLE, HISTORY = "args.yaml", "results.csv", "history.json"
_PARAM_NAMES = {"imgsz": "image_size", "freeze": "freeze_layers"}
# what Ultralytics changes when it resumes is not among these
_WHERE_TRAINED = ("save_dir", "project", "name", "seed", "epochs")


@dataclass(frozen=True, slots=True)
class Told:
    """Values given by the caller; None: infer them from the folder."""

    started: datetime | None = None
    status: Status | None = None
    weights: bool = True


@dataclass(frozen=True, slots=True)
class _Content:
    """The content as read, not yet normalised."""

    source: Source
    name: str
    table: Path
    rows: tuple[PastRow, ...]
    params: Mapping[str, object]
    began_ms: int | None
    said_ms: int | None
    warnings: tuple[str, ...]


def read_past_run(path: Path, told: Told | None = None) -> PastRun:
    """Read an Ultralytics run folder, a folder with a `history.json`, or a `history.json`.

    The identity is the SHA-256 of where the run was trained (of args.yaml: save_dir, project, name, seed,
    epochs) and of its first epoch, so it does not change when the run grows or is moved. The
    digest is over every epoch, param and file.

    Raises RunFault, in one sentence, for what is not a run or cannot be read; see `results_csv` and
    `history_json` for what is tolerated with a warning.
    """
    told = told or Told()
    content = _read(path)
    files, left_out = _files(path, told.weights) if path.is_dir() else ({path: "training"}, ())
    timing = timing_of(
        content.rows,
        given_ms=content.said_ms if told.started is None else int(told.started.timestamp() * 1000),
        began_ms=content.began_ms,
        written_ms=_written_ms(content.table),
    )
    if timing.started_ms < 0:
        raise RunFault(f"{path}: the start is before 1970; pass it with --started")
    epochs = tuple(
        PastEpoch(row.epoch, at, {**row.metrics, **({"time/epoch_s": s} if s is not None else {})})
        for row, at, s in zip(content.rows, timing.ends_ms, timing.seconds, strict=True)
    )
    ending = _ending(content, path, told)
    return PastRun(
        name=content.name,
        source=content.source,
        path=path,
        params=content.params,
        epochs=epochs,
        status=ending.status,
        ended=ending.why,
        started_ms=timing.started_ms,
        ended_ms=timing.ended_ms,
        files=files,
        identity=_identity(content),
        digest=_digest(content, files, ending),
        warnings=(*content.warnings, *timing.warnings, *left_out),
    )


def _read(path: Path) -> _Content:
    refuse_odd(path, "import-run", RunFault)
    if not exists(path):
        raise RunFault(f"{path} does not exist; pass the run's folder or a history.json")
    if path.is_file() and path.suffix == ".json":
        return _from_history(path)
    if path.is_file():
        raise RunFault(f"{path} is a file; pass the run's folder or a history.json")
    if (path / TABLE).is_file() or (path / ARGUMENTS).is_file():
        return _from_ultralytics(path)
    if (path / HISTORY).is_file():
        return _from_history(path / HISTORY)
    runs = [
        child for child in _children(path) if any((child / n).is_file() for n in (TABLE, ARGUMENTS, HISTORY))
    ]
    if runs:
        raise RunFault(f"{path} is not a run folder but contains {len(runs)}; run mlops import-run {path}/*")
    what = "is an empty folder" if not _children(path) else "is not a run folder"
    raise RunFault(f"{path} {what}: {TABLE}, {ARGUMENTS} and {HISTORY} are missing")


def _from_ultralytics(folder: Path) -> _Content:
    arguments, table = folder / ARGUMENTS, folder / TABLE
    warnings: tuple[str, ...] = ()
    params: Mapping[str, object] = {}
    if arguments.is_file():
        params = _arguments(arguments)
    else:
        warnings = (f"{folder} has no {ARGUMENTS}: the run has no params and counts as complete",)
    rows = read_table(table) if table.is_file() else None
    if rows is None:
        warnings = (*warnings, f"{folder} has no {TABLE}: no epoch was finished")
    return _Content(
        "ultralytics",
        folder.resolve().name,
        table if rows is not None else arguments,
        rows.rows if rows is not None else (),
        params,
        _written_ms(arguments) if arguments.is_file() else None,
        None,
        (*warnings, *(rows.warnings if rows is not None else ())),
    )


def _from_history(file: Path) -> _Content:
    history = read_history(file)
    name = file.resolve().parent.name if file.name == HISTORY else file.stem
    read = history.rows
    return _Content("history", name, file, read.rows, history.params, None, history.started_ms, read.warnings)


def _arguments(file: Path) -> dict[str, object]:
    """args.yaml's values under a recipe's names; without what is null, and without what a resumption sets."""
    try:
        held = read_yaml_file(file, RunFault)
    except RunFault as error:
        says = re.sub(r"^:(\d+)", r"line \1", str(error).removeprefix(str(file))).lstrip(": ")
        raise RunFault(
            f"{file} cannot be read: {says}; fix it, or remove it to import without params"
        ) from error
    if not isinstance(held, dict):
        raise RunFault(f"{file}: expected a mapping; fix it, or remove it to import without params")
    return {
        _PARAM_NAMES.get(str(k), str(k)): value
        for k, value in held.items()
        if value is not None and k != "resume"
    }


def _ending(content: _Content, path: Path, told: Told) -> Ending:
    if told.status is not None:
        return Ending(told.status, "as the one who imported it said")
    weights = path / "weights" / "best.pt"
    left = Left(
        asked=_whole(content.params, ("epochs",)),
        patience=_whole(content.params, ("patience",)) or 0,
        best_weights=weights.is_file() if content.source == "ultralytics" else None,
        evaluated=(path / "results.png").is_file(),
    )
    return how_it_ended(content.rows, left)


def _whole(params: Mapping[str, object], names: Iterable[str]) -> int | None:
    found = next((params[name] for name in names if name in params), None)
    return int(found) if isinstance(found, (int, float)) and abs(as_float(found)) <= EPOCHS else None


def _files(folder: Path, weights: bool) -> tuple[dict[Path, str], tuple[str, ...]]:
    """Every file to import, with its artifact folder; and warnings about omitted files."""
    kept: dict[Path, str] = {}
    left_out: list[str] = []
    inside = folder.resolve()
    for file in sorted(folder.rglob("*")):
        below = file.relative_to(folder)
        if any(part.startswith(".") for part in below.parts) or not file.is_file():
            continue
        if not file.resolve().is_relative_to(inside):
            left_out.append(f"{file} links outside the folder and is not imported")
        elif below.parts[0] != "weights":
            kept[file] = "/".join(("training", *below.parts[:-1]))
        elif weights:
            kept[file] = "/".join(below.parts[:-1])
    return kept, tuple(left_out)


def _children(folder: Path) -> list[Path]:
    return [child for child in sorted(folder.iterdir()) if not child.name.startswith(".")]


def _written_ms(file: Path) -> int:
    return file.stat().st_mtime_ns // 1_000_000


def _identity(content: _Content) -> str:
    trained = {name: content.params[name] for name in _WHERE_TRAINED if name in content.params}
    if not content.rows:
        return _sha256([content.source, dict(content.params)])
    first = content.rows[0]
    return _sha256([content.source, trained, first.epoch, dict(first.metrics), first.elapsed_s])


def _digest(content: _Content, files: Mapping[Path, str], ending: Ending) -> str:
    kept = []
    for file, folder in files.items():
        with file.open("rb") as stream:
            kept.append([folder, file.name, hashlib.file_digest(stream, "sha256").hexdigest()])
    rows = [[row.epoch, dict(row.metrics), row.elapsed_s, row.epoch_s, row.at_ms] for row in content.rows]
    return _sha256([content.source, dict(content.params), rows, kept, ending.status])


def _sha256(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
