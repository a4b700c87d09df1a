"""Write one file of a version, compare its outputs with the original's, time it, certify it."""

from __future__ import annotations

import shutil
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.errors import MlopsError
from mlops.files.digests import digest_of_lines, sha256_of
from mlops.prediction.onnx_model import Predictor, Preprocessing
from registry.export.formats.contract import Format, NotMade, NotRun, Original, Precision, first_line
from registry.export.proof.certificate import FileCertificate, Status
from registry.export.proof.parity import (
    AnyParity,
    ClassParity,
    JointParity,
    compare_boxes,
    compare_classes,
    nothing_in,
    problem_of,
)
from registry.export.proof.timing import measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.prediction.onnx_model import PredictedBoxes
    from registry.export.formats.contract import Session
    from registry.export.proof.held_out_images import HeldOutImages


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The reference: the original's outputs for the held-out images. calls: number of calls to time.

    registered: those of the version's own ONNX file; None if that is the original.
    """

    held: HeldOutImages
    original: ModelOutputs
    calls: int
    registered: ModelOutputs | None = None


def certify(
    kind: Format, source: Original, precision: Precision, folder: Path, yardstick: Yardstick
) -> FileCertificate:
    """Write the file below `folder` and judge it; a failed or incomplete file is removed.

    Raises errors that are not caused by the format, such as a full disk or an unavailable server.
    """
    others = set(folder.iterdir())
    try:
        made = kind.make(source, precision, folder)
    except NotMade as reason:
        _take_away(folder, others)
        return not_made(kind.name, precision, str(reason))
    except Exception as error:  # converters raise anything for an unsupported operator
        if isinstance(error, MlopsError | MemoryError) or getattr(error, "errno", None):
            raise
        _take_away(folder, others)
        return not_made(kind.name, precision, f"the conversion failed: {first_line(error)}")
    own = _of_file(kind, made, folder, others)
    before = FileCertificate(kind.name, precision.value, Status.NOT_RUN, **own)
    try:
        parity, registered, speed = _tried(kind, source, made, yardstick)
    except NotRun as reason:
        return _with(before, Status.NOT_RUN, str(reason))
    except Exception as error:  # noqa: BLE001 - a runtime raises anything for a broken file
        _take_away(folder, others)
        return _with(before, Status.FAILED, f"the file was written but fails when run: {first_line(error)}")
    status, found = _judged(parity, registered, precision)
    if status is not Status.PASSED:
        _take_away(folder, others)
    return _with(before, status, found, parity=parity, registered=registered, speed=speed)


def _judged(parity: AnyParity, registered: AnyParity | None, precision: Precision) -> tuple[Status, str]:
    if nothing := nothing_in(parity):
        return Status.NOT_SHOWN, nothing
    if problem := problem_of(parity, precision):
        return Status.FAILED, problem
    problem = problem_of(registered, precision) if registered is not None else ""
    if problem:
        return Status.FAILED, f"compared with the version's own ONNX file: {problem}"
    return Status.PASSED, ""


def not_made(name: str, precision: Precision, reason: str) -> FileCertificate:
    return FileCertificate(name, precision.value, Status.NOT_MADE, reason)


def _tried(kind: Format, source: Original, made: Path, yardstick: Yardstick) -> tuple[Any, Any, Any]:
    said = kind.preprocessing_in(made)
    given = answers_of(kind.open(made, score=LEAST_SCORE), said, yardstick.held)
    parity = compare(yardstick.held, yardstick.original, given, source.preprocessing)
    own = yardstick.registered
    registered = None if own is None else compare(yardstick.held, own, given, source.preprocessing)
    return parity, registered, measure(kind.open(made), source.side, yardstick.calls)


def _of_file(kind: Format, made: Path, folder: Path, others: Container[Path]) -> dict[str, Any]:
    parts = sorted(
        path for each in _new(folder, others) for path in (each, *each.rglob("*")) if path.is_file()
    )
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


def _new(folder: Path, others: Container[Path]) -> list[Path]:
    """The new paths in `folder`: a file, a folder, or a pair of files."""
    return [path for path in folder.iterdir() if path not in others]


def _opset(made: Path) -> int | None:
    if made.suffix != ".onnx":
        return None
    from registry.export.formats.onnx import opset

    return opset(made)


def _with(certificate: FileCertificate, status: Status, reason: str, **found: Any) -> FileCertificate:
    removed = status in (Status.FAILED, Status.NOT_SHOWN)
    gone: Mapping[str, Any] = {"path": "", "files": {}} if removed else {}
    return replace(certificate, status=status, reason=reason, **found, **gone)


def _take_away(folder: Path, others: Container[Path]) -> None:
    for path in _new(folder, others):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


LEAST_SCORE = 0.001  # score threshold of mAP, as in the validation of training


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """Outputs for every held-out image, in order: probabilities (N, classes), boxes, or both."""

    probabilities: NDArray[np.float32] | None
    boxes: tuple[PredictedBoxes, ...] | None


def answers_of(session: Session, stated: Mapping[str, Any], held: HeldOutImages) -> ModelOutputs:
    """Run `session` with its preprocessing `stated`.

    Raises whatever the runtime raises, and ValueError for outputs that are not probabilities or boxes.
    """
    predictor = Predictor(session, Preprocessing.of(stated))
    boxes, probabilities = None, None
    if held.boxes is not None:
        boxes = tuple(predictor.boxes(held.pictures, score=LEAST_SCORE))
    if held.labels is not None:
        probabilities = predictor.probabilities(held.pictures)
        if not np.isfinite(probabilities).all():
            raise ValueError("its probabilities are NaN or infinite")
    return ModelOutputs(probabilities, boxes)


def compare(
    held: HeldOutImages, original: ModelOutputs, given: ModelOutputs, stated: Mapping[str, Any]
) -> AnyParity:
    """stated: the version's preprocessing, with its classes and score threshold."""
    if held.boxes is None:
        return _classes(held, original, given, stated)
    assert original.boxes is not None and given.boxes is not None
    score = float(stated["nms"]["score"])
    boxes = compare_boxes(held.boxes, original.boxes, given.boxes, stated["classes"], score)
    return boxes if held.labels is None else JointParity(boxes, _classes(held, original, given, stated))


def _classes(
    held: HeldOutImages, original: ModelOutputs, given: ModelOutputs, stated: Mapping[str, Any]
) -> ClassParity:
    assert held.labels is not None and original.probabilities is not None and given.probabilities is not None
    names = stated.get("image_classes", stated["classes"])
    return compare_classes(held.labels, original.probabilities, given.probabilities, names)
