"""Read a table of boxes: a CSV with a picture, a label and the corners of a box, in pixels, on each row."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.data.dataset import SPLITS, Box, LabelledPicture, SplitName
from mlops.data.faults import Fault, fault
from mlops.data.readers.formats import IMAGE_COLUMNS, LABEL_COLUMNS, table_file
from mlops.data.readers.images import SPLIT_OF_WORD
from mlops.data.readers.yolo_labels import TOLERANCE, box_of_corners
from mlops.data.source import DetectionSource
from mlops.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))


@dataclass(frozen=True, slots=True)
class BoxRow:
    """corners: left, top, right, bottom in pixels; None where the row is a picture without objects."""

    line: int
    picture: str
    label: str
    corners: tuple[float, float, float, float] | None
    split: str


def boxes_table(path: Path) -> Path | None:
    """The table of boxes that `path` is or holds; None where it has no corners."""
    file = path if path.is_file() else table_file(path)
    if file is None or file.suffix.lower() not in (".csv", ".tsv"):
        return None
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = {name.strip().lower() for name in next(csv.reader(stream, delimiter=_delimiter(file)), [])}
    return file if any(header.issuperset(names) for names in CORNERS) else None


def read_boxes_table(file: Path, name: str) -> DetectionSource:
    """Read a table of boxes. Pictures are named relative to it, or to images/ beside it.

    A column `split` gives the splits. An empty label with empty corners: a picture without objects.
    """
    faults: list[Fault] = []
    rows = list(_rows(file, faults))
    if not rows:
        raise DataFault(f"{file}: no row that can be read" + (f"; {faults[0].says}" if faults else ""))
    classes = tuple(sorted({row.label for row in rows if row.corners}))
    boxes: dict[Path, list[Box]] = {}
    split_of: dict[Path, SplitName] = {}
    sizes: dict[Path, tuple[int, int]] = {}
    for row in rows:
        picture = _find(file, row.picture)
        if picture is None:
            faults.append(fault("missing-image", file, f"picture {row.picture!r} is not there", row.line))
            continue
        own = boxes.setdefault(picture, [])
        split_of[picture] = SPLIT_OF_WORD.get(row.split.lower(), "train")
        if row.corners:
            if picture not in sizes:
                sizes[picture] = _size(picture)
            box, wrong = _box(row, row.corners, classes.index(row.label), sizes[picture], file)
            faults.extend(wrong)
            own.extend([box] if box else [])
    splits = {
        split: tuple(LabelledPicture(p, tuple(found)) for p, found in boxes.items() if split_of[p] == split)
        for split in SPLITS
    }
    splits = {split: pictures for split, pictures in splits.items() if pictures}
    made_split = not any(row.split for row in rows)
    return DetectionSource(
        name, file.parent, classes, splits, (file, *boxes), tuple(faults), sizes, made_split
    )


def _rows(file: Path, faults: list[Fault]) -> Iterator[BoxRow]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=_delimiter(file))
        header = [name.strip().lower() for name in next(reader, [])]
        image = next(name for name in header if name in IMAGE_COLUMNS)
        label = next((name for name in header if name in LABEL_COLUMNS), "")
        corners = next(names for names in CORNERS if set(names) <= set(header))
        if not label:
            raise DataFault(f"{file}: no column of labels; name it label")
        for cells in reader:
            if len(cells) != len(header):
                says = f"{len(cells)} columns, the header has {len(header)}"
                faults.append(fault("wrong-columns", file, says, reader.line_num))
                continue
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
            try:
                yield _row(row, image, label, corners, reader.line_num)
            except ValueError as error:
                faults.append(fault("not-a-number", file, str(error), reader.line_num))


def _row(row: Mapping[str, str], image: str, label: str, corners: Sequence[str], line: int) -> BoxRow:
    texts = [row[name] for name in corners]
    if not any(texts) and not row[label]:
        return BoxRow(line, row[image], "", None, row.get("split", ""))
    left, top, right, bottom = (float(text) for text in texts)
    return BoxRow(line, row[image], row[label], (left, top, right, bottom), row.get("split", ""))


def _box(
    row: BoxRow, corners: tuple[float, float, float, float], index: int, size: tuple[int, int], file: Path
) -> tuple[Box | None, list[Fault]]:
    width, height = size
    left, top, right, bottom = (value / side for value, side in zip(corners, size * 2, strict=True))
    if min(left, top) < -TOLERANCE or max(right, bottom) > 1 + TOLERANCE:
        says = f"{row.picture}: the box {corners} leaves the {width}x{height} picture"
        return None, [fault("outside-image", file, says, row.line)]
    return box_of_corners(index, left, top, right, bottom, file, row.line)


def _find(file: Path, name: str) -> Path | None:
    return next((p for p in (file.parent / name, file.parent / "images" / name) if p.is_file()), None)


def _size(picture: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(picture) as image:
            return image.size
    except OSError as error:
        raise DataFault(f"{picture}: no picture that can be read ({error})") from error


def _delimiter(file: Path) -> str:
    return "\t" if file.suffix.lower() == ".tsv" else ","
