"""The files of a YOLO set: `data.yaml` with class names and splits, and the label files.

A label row is `class x y w h`, or `class x1 y1 x2 y2 x3 y3 ...` for an outline, as fractions:
docs.ultralytics.com/datasets/detect and /datasets/segment
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.data.dataset import SPLITS, Box, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.readers.layout import SPLIT_OF_WORD, SPLIT_WORDS
from mlops.errors import DataFault, shown
from mlops.files.limits import ANNOTATION_BYTES, CLASSES
from mlops.files.regular_files import exists, quote_below
from mlops.files.text_files import bare, quoted, read_text, read_yaml_file


@dataclass(frozen=True, slots=True)
class YoloConfig:
    """root: the folder of data.yaml. places: folders or list files (.txt) of each split."""

    root: Path
    classes: tuple[str, ...]
    places: Mapping[SplitName, tuple[Path, ...]]
    faults: tuple[Fault, ...] = ()


def read_config(file: Path) -> YoloConfig:
    """Read data.yaml.

    A `path:` from another machine is ignored: entries are searched under it, then relative to data.yaml, then
    without leading parts. Raises DataFault if the file is invalid, or the entry of train or val is missing on
    disk.
    """
    fields = _fields(file)
    classes = _classes(file, fields)
    places: dict[SplitName, tuple[Path, ...]] = {}
    faults: list[Fault] = []
    for split in SPLITS:
        entry = next((fields[word] for word in SPLIT_WORDS[split] if fields.get(word)), None)
        if entry is None:
            continue
        entries = entry if isinstance(entry, list) else [entry]
        found = [_place(file, fields.get("path"), str(each)) for each in entries]
        if all(found):
            places[split] = tuple(each for each in found if each is not None)
        elif split == "test":
            faults.append(
                fault(
                    "no-test-split",
                    file,
                    f"test: {bare(entry, file)} does not exist; continuing without a test split",
                )
            )
        else:
            lost = entries[found.index(None)]
            raise DataFault(
                f"{file}: {split}: {bare(lost, file)} does not exist; write its path, "
                f"relative to {file.parent}"
            )
    if "train" not in places:
        raise DataFault(f"{file}: train: is missing; add the folder of training images")
    return YoloConfig(file.parent, classes, places, tuple(faults))


def _fields(file: Path) -> dict[str, object]:
    fields = read_yaml_file(file)
    if not isinstance(fields, dict):
        raise DataFault(f"{file}: expected a mapping with the keys train, val and names")
    return {str(key): value for key, value in fields.items()}


def _classes(file: Path, fields: Mapping[str, object]) -> tuple[str, ...]:
    names, count = fields.get("names"), fields.get("nc")
    if isinstance(names, dict):
        try:
            named = {int(key): str(value) for key, value in names.items()}
        except (TypeError, ValueError, OverflowError) as error:
            raise DataFault(f"{file}: names: keys must be class numbers from 0") from error
        if sorted(named) != list(range(len(named))):
            raise DataFault(
                f"{file}: names: class numbers are {shown(sorted(named))}; expected 0, 1, 2, ... without gaps"
            )
        classes = tuple(named[index] for index in range(len(named)))
    elif isinstance(names, list):
        classes = tuple(str(each) for each in names)
    elif names is None and isinstance(count, int) and 0 < count <= CLASSES:
        classes = tuple(f"class_{index}" for index in range(count))
    else:
        if names is None and count is not None:
            raise DataFault(f"{file}: nc is {quoted(count, file)}; expected 1 to {CLASSES:,} classes")
        raise DataFault(
            f"{file}: names is {quoted(names, file)}; expected a list, or a mapping of number to name"
        )
    if not classes:
        raise DataFault(f"{file}: names is empty; write one name per class")
    if isinstance(count, int) and count != len(classes):
        raise DataFault(f"{file}: nc is {shown(count)}, but names has {len(classes)} names; fix one of them")
    if len(set(classes)) != len(classes):
        twice = next(name for name, count in Counter(classes).items() if count > 1)
        raise DataFault(f"{file}: names has {quoted(twice, file)} twice; write a unique name for each class")
    return classes


def _place(file: Path, base: object, entry: str) -> Path | None:
    """The path of an entry on this machine; None if it does not exist."""
    beside = Path(os.path.abspath(file)).parent  # noqa: PTH100 (of the link, where data.yaml is one)
    homes = list(dict.fromkeys((file.resolve().parent, beside)))
    roots = [root for home in homes for root in ((home / str(base), home) if base else (home,))]
    for variant in _spellings(entry):
        for root in roots:
            if exists(root / variant):
                _declare(Path(os.path.normpath(root / variant)), homes)
                return (root / variant).resolve()
    return None


def _declare(place: Path, homes: Sequence[Path]) -> None:
    """Let messages quote the labels that belong to a place which data.yaml names outside its folder."""
    if not any(place.is_relative_to(home) for home in homes):
        before, found, _ = str(place).rpartition(f"{os.sep}images{os.sep}")
        quote_below(Path(before) if found else place.parent)


_DEEPEST = 32  # folders of a path of another machine that are tried here


def _spellings(entry: str) -> list[str]:
    """The entry, then without leading parts (Roboflow's `../train/images`, a path of another machine)."""
    parts = [part for part in Path(entry).parts if part not in ("..", ".", "/")][-_DEEPEST:]
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    tails = [tail for tail in tails if "/" in tail or tail.split(".")[0] in SPLIT_OF_WORD]
    spellings = [entry, *tails]
    swapped = [
        "/".join(other if part == word else part for part in Path(each).parts).replace("//", "/")
        for each in spellings
        for word, other in (("val", "valid"), ("valid", "val"))
        if word in Path(each).parts
    ]
    return spellings + swapped


TOLERANCE = 1e-3
_EDGE_TOLERANCE = 1e-2


def read_labels(file: Path, classes: Sequence[str]) -> tuple[tuple[Box, ...], list[Fault]]:
    """The boxes of one label file and its faults; a row with an error gives no box."""
    try:
        text = read_text(file, ANNOTATION_BYTES)
    except DataFault as error:
        return (), [fault("unreadable-label", file, str(error).removeprefix(str(file)).lstrip(": "))]
    boxes: list[Box] = []
    faults = FaultLog()
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
    """One row's box (None if it has an error or no area) and its faults."""
    count = len(tokens)
    if count != 5 and (count < 7 or count % 2 == 0):
        says = f"{count} columns; expected 5 (class x y w h), or an odd number from 7 for an outline"
        return None, [fault("wrong-columns", file, says, line)]
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        wrong = next(token for token in tokens if not _is_number(token))
        what = "class" if wrong == tokens[0] else "coordinate"
        return None, [fault("not-a-number", file, f"{what} {quoted(wrong, file)} is not a number", line)]
    if not all(map(math.isfinite, numbers)):
        return None, [fault("not-a-number", file, "a value is NaN or infinite", line)]
    index, points = numbers[0], numbers[1:]
    if index != int(index) or not 0 <= index < len(classes):
        given = bare(tokens[0], file)
        says = f"class {given} is unknown; the set has {len(classes)} classes, 0 to {len(classes) - 1}"
        return None, [fault("unknown-class", file, says, line)]
    if min(points) < -TOLERANCE or max(points) > 1 + TOLERANCE:
        outside = next(value for value in points if not -TOLERANCE <= value <= 1 + TOLERANCE)
        return None, [
            fault(
                "outside-image",
                file,
                f"coordinate {quoted(float(f'{outside:g}'), file)} is outside 0..1",
                line,
            )
        ]
    if count == 5:
        return _box(int(index), points, file, line)
    return box_of_outline(int(index), points, file, line)


def box_of_outline(
    index: int, points: Sequence[float], file: Path, line: int | None
) -> tuple[Box | None, list[Fault]]:
    """The box around an outline, with the outline; coordinates just outside are moved to the edge."""
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
    """A box from its corners, clipped to the image; None, with a fault, if no area is left."""
    left, right = max(left, 0.0), min(right, 1.0)
    top, bottom = max(top, 0.0), min(bottom, 1.0)
    if right <= left or bottom <= top:
        return None, [fault("zero-area", file, "the box has no area and is omitted", line)]
    return Box(index, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, polygon), []


def _box(index: int, numbers: Sequence[float], file: Path, line: int) -> tuple[Box | None, list[Fault]]:
    x, y, width, height = numbers
    if width <= 0 or height <= 0:
        return None, [fault("zero-area", file, "the box has no area and is omitted", line)]
    over = max(width / 2 - x, height / 2 - y, x + width / 2 - 1, y + height / 2 - 1)
    if over <= 1e-6:  # rounding in the label file
        return Box(index, x, y, width, height), []
    box, faults = box_of_corners(
        index, x - width / 2, y - height / 2, x + width / 2, y + height / 2, file, line
    )
    if over > _EDGE_TOLERANCE and box is not None:
        faults.append(
            fault("over-edge", file, f"the box extends {over:.3f} beyond the edge and is clipped", line)
        )
    return box, faults


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
