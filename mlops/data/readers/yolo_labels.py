"""Read one YOLO label file: `class x y w h`, or `class x1 y1 x2 y2 x3 y3 ...` for an outline, as fractions.

docs.ultralytics.com/datasets/detect and /datasets/segment
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from mlops.data.dataset import Box
from mlops.data.faults import Fault, fault

TOLERANCE = 1e-3
_EDGE_TOLERANCE = 1e-2


def read_labels(file: Path, classes: Sequence[str]) -> tuple[tuple[Box, ...], list[Fault]]:
    """The boxes of one label file, and what is wrong with it; a row with an error gives no box."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return (), [fault("unreadable-label", file, "the label file is no text (UTF-8)")]
    boxes: list[Box] = []
    faults: list[Fault] = []
    for line, row in enumerate(text.splitlines(), start=1):
        tokens = row.split()
        if tokens:
            box, wrong = read_row(tokens, classes, file, line)
            faults.extend(wrong)
            if box is not None:
                boxes.append(box)
    return tuple(boxes), faults


def read_row(
    tokens: Sequence[str], classes: Sequence[str], file: Path, line: int
) -> tuple[Box | None, list[Fault]]:
    """One row's box (None where it has an error or no area) and its faults."""
    count = len(tokens)
    if count != 5 and (count < 7 or count % 2 == 0):
        says = f"{count} columns; a box has 5 (class x y w h), an outline an odd number from 7 on"
        return None, [fault("wrong-columns", file, says, line)]
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        wrong = next(token for token in tokens if not _is_number(token))
        what = "class" if wrong == tokens[0] else "coordinate"
        return None, [fault("not-a-number", file, f"{what} {wrong!r} is no number", line)]
    if not all(map(math.isfinite, numbers)):
        return None, [fault("not-a-number", file, "a value is NaN or infinite", line)]
    index, points = numbers[0], numbers[1:]
    if index != int(index) or not 0 <= index < len(classes):
        says = f"class {tokens[0]} is unknown; the set has {len(classes)} classes, 0 to {len(classes) - 1}"
        return None, [fault("unknown-class", file, says, line)]
    if min(points) < -TOLERANCE or max(points) > 1 + TOLERANCE:
        outside = next(value for value in points if not -TOLERANCE <= value <= 1 + TOLERANCE)
        return None, [fault("outside-image", file, f"coordinate {outside:g} is outside 0..1", line)]
    if count == 5:
        return _box(int(index), points, file, line)
    return box_of_outline(int(index), points, file, line)


def box_of_outline(
    index: int, points: Sequence[float], file: Path, line: int | None
) -> tuple[Box | None, list[Fault]]:
    """The box around an outline, which is kept with it; coordinates just outside are moved to the edge."""
    inside = tuple(min(max(value, 0.0), 1.0) for value in points)
    left, right = min(inside[0::2]), max(inside[0::2])
    top, bottom = min(inside[1::2]), max(inside[1::2])
    return box_of_corners(index, left, top, right, bottom, file, line, inside)


def box_of_corners(
    index: int,
    left: float,
    top: float,
    right: float,
    bottom: float,
    file: Path,
    line: int | None,
    polygon: tuple[float, ...] = (),
) -> tuple[Box | None, list[Fault]]:
    """A box from its corners, cut at the picture's edge; None, with a fault, where no area is left."""
    left, right = max(left, 0.0), min(right, 1.0)
    top, bottom = max(top, 0.0), min(bottom, 1.0)
    if right <= left or bottom <= top:
        return None, [fault("zero-area", file, "the box has no area and is left out", line)]
    return Box(index, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, polygon), []


def _box(index: int, numbers: Sequence[float], file: Path, line: int) -> tuple[Box | None, list[Fault]]:
    x, y, width, height = numbers
    if width <= 0 or height <= 0:
        return None, [fault("zero-area", file, "the box has no area and is left out", line)]
    over = max(width / 2 - x, height / 2 - y, x + width / 2 - 1, y + height / 2 - 1)
    if over <= 1e-6:  # rounding of the writer: left as it is
        return Box(index, x, y, width, height), []
    box, faults = box_of_corners(
        index, x - width / 2, y - height / 2, x + width / 2, y + height / 2, file, line
    )
    if over > _EDGE_TOLERANCE and box is not None:
        faults.append(
            fault("over-edge", file, f"the box reaches {over:.3f} past the edge and is cut there", line)
        )
    return box, faults


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
