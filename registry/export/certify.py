"""Make one file of a version, hold it against the original, time it, and say what was found."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.data.digest import digest_of_lines, sha256_of
from registry.certificate import FileCertificate, Status
from registry.export.compare import LEAST_SCORE, answers_of, compare
from registry.export.contract import Format, NotMade, NotRun, Precision, Source
from registry.export.parity import problem_of
from registry.export.timing import measure

if TYPE_CHECKING:
    from registry.export.compare import Answers
    from registry.export.held_out import HeldOut


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a file is held against: the original's answers to the held-out pictures. calls: timed ones."""

    held: HeldOut
    original: Answers
    calls: int


def certify(
    kind: Format, source: Source, precision: Precision, folder: Path, yardstick: Yardstick
) -> FileCertificate:
    """Write the file below `folder` and judge it; one that fails is taken away again."""
    try:
        made = kind.make(source, precision, folder)
    except NotMade as reason:
        return not_made(kind.name, precision, str(reason))
    before = FileCertificate(kind.name, precision.value, Status.NOT_RUN, **_of_file(kind, made, folder))
    try:
        parity, speed = _tried(kind, source, made, yardstick)
    except NotRun as reason:
        return _with(before, Status.NOT_RUN, str(reason))
    except Exception as error:  # noqa: BLE001 - a broken file makes its runtime raise anything: it failed
        _take_away(made)
        return _with(before, Status.FAILED, f"it was made, and breaks when it is run: {_first_line(error)}")
    problem = problem_of(parity, precision)
    if problem:
        _take_away(made)
    return _with(before, Status.FAILED if problem else Status.PASSED, problem, parity=parity, speed=speed)


def not_made(name: str, precision: Precision, reason: str) -> FileCertificate:
    return FileCertificate(name, precision.value, Status.NOT_MADE, reason)


def _tried(kind: Format, source: Source, made: Path, yardstick: Yardstick) -> tuple[Any, Any]:
    said = kind.preprocessing_in(made)
    given = answers_of(kind.open(made, score=LEAST_SCORE), said, yardstick.held)
    parity = compare(yardstick.held, yardstick.original, given, source.preprocessing)
    return parity, measure(kind.open(made), source.side, yardstick.calls)


def _of_file(kind: Format, made: Path, folder: Path) -> dict[str, Any]:
    parts = sorted(path for path in made.rglob("*") if path.is_file()) if made.is_dir() else _beside(made)
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in parts}
    lines = [f"{name}\0{digest}" for name, digest in files.items()]
    said = kind.preprocessing_in(made)
    return {
        "path": made.relative_to(folder).as_posix(),
        "files": files,
        "size_bytes": sum(path.stat().st_size for path in parts),
        "digest": next(iter(files.values())) if len(files) == 1 else digest_of_lines(lines),
        "opset": _opset(made),
        "nms": said.get("nms"),
    }


def _beside(made: Path) -> list[Path]:
    """The file itself and those that belong to it: a `.bin` beside the `.xml`, what an engine says."""
    own = [path for path in made.parent.iterdir() if path.is_file() and _belongs(path.name, made.name)]
    return sorted(own)


def _belongs(name: str, made: str) -> bool:
    stem = made.removesuffix(".xml")
    return name == made or name.startswith(f"{made}.") or (stem != made and name == f"{stem}.bin")


def _opset(made: Path) -> int | None:
    if made.suffix != ".onnx":
        return None
    from registry.export.onnx_format import opset

    return opset(made)


def _with(certificate: FileCertificate, status: Status, reason: str, **found: Any) -> FileCertificate:
    gone: Mapping[str, Any] = {"path": "", "files": {}} if status is Status.FAILED else {}
    return replace(certificate, status=status, reason=reason, **found, **gone)


def _take_away(made: Path) -> None:
    if made.is_dir():
        shutil.rmtree(made)
        return
    for path in _beside(made):
        path.unlink()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
