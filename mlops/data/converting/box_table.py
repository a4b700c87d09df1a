"""Read a table of boxes: a CSV with image, label and box corners (pixels) in each row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops.data.dataset import SPLITS, Box, BoxedImage, DetectionSource, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.readers.layout import IMAGE_COLUMNS, LABEL_COLUMNS, SPLIT_OF_WORD, table_file, upright_size
from mlops.data.readers.table import SPLIT_COLUMNS, Pictures
from mlops.data.readers.yolo_files import TOLERANCE, box_of_corners
from mlops.errors import DataFault, brief
from mlops.files.regular_files import leads_out
from mlops.files.text_files import bare, quoted, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))


@dataclass(frozen=True, slots=True)
class BoxRow:
    """corners: left, top, right, bottom in pixels; None for an image without objects."""

    line: int
    picture: str
    label: str
    corners: tuple[float, float, float, float] | None
    split: SplitName | None


def boxes_table(path: Path) -> Path | None:
    """The table of boxes at or in `path`; None if its header has no corners."""
    file = path if path.is_file() else table_file(path)
    if file is None or file.suffix.lower() not in (".csv", ".tsv"):
        return None
    _, names = next(read_table(file), (1, []))
    header = {name.strip().lower() for name in names}
    return file if any(header.issuperset(corners) for corners in CORNERS) else None


def read_boxes_table(file: Path, name: str) -> DetectionSource:
    """Read a table of boxes. Image paths are relative to the table, or to images/ beside it.

    A column `split` gives the splits. A row with empty label and corners is an image without objects.
    """
    faults = FaultLog()
    rows = list(_rows(file, faults))
    if not rows:
        raise DataFault(f"{file}: no valid row" + (f"; {faults[0].says}" if faults else ""))
    classes = tuple(sorted({row.label for row in rows if row.corners and row.label}))
    index = {name: number for number, name in enumerate(classes)}
    reading = _BoxTableReading(file, index, Pictures(file.resolve().parent), faults)
    for row in rows:
        reading.take(row)
    given = {row.split for row in rows}
    return DetectionSource(
        name=name,
        root=file.resolve().parent,
        classes=classes,
        splits=reading.splits(),
        files=(file, *reading.boxes),
        faults=tuple(faults),
        sizes=reading.sizes,
        made_split=given == {None},
    )


@dataclass(slots=True)
class _BoxTableReading:
    """Boxes and splits from the rows read so far, by image."""

    file: Path
    index: Mapping[str, int]
    places: Pictures
    faults: list[Fault]
    boxes: dict[Path, list[Box]] = field(default_factory=dict)
    split_of: dict[Path, SplitName] = field(default_factory=dict)
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def take(self, row: BoxRow) -> None:
        picture = self.places.find(row.picture)
        if picture is None:
            says = f"image {quoted(row.picture, self.file)} is missing"
            self.faults.append(fault("missing-image", self.file, says, row.line))
            return
        split = self.split_of.setdefault(picture, row.split or "train")
        if split != (row.split or "train"):
            says = f"{picture.name} is in split {row.split}, but in {split} in an earlier row"
            self.faults.append(fault("conflicting-label", self.file, says, row.line))
            return
        own = self.boxes.setdefault(picture, [])
        if row.corners is not None and not row.label:
            self.faults.append(
                fault("unknown-class", self.file, f"{picture.name}: the box has no label", row.line)
            )
        elif row.corners is not None:
            if picture not in self.sizes:
                self.sizes[picture] = _size(picture)
            index = self.index[row.label]
            box, wrong = _box(row, row.corners, index, self.sizes[picture], self.file)
            self.faults.extend(wrong)
            own.extend([box] if box else [])

    def splits(self) -> dict[SplitName, tuple[BoxedImage, ...]]:
        found = {split: [p for p, its in self.split_of.items() if its == split] for split in SPLITS}
        return {
            split: tuple(BoxedImage(picture, tuple(self.boxes[picture])) for picture in own)
            for split, own in found.items()
            if own
        }


def _rows(file: Path, faults: list[Fault]) -> Iterator[BoxRow]:
    rows = read_table(file)
    header = [name.strip().lower() for name in next(rows, (1, []))[1]]
    image, label, split = (
        next((name for name in header if name in known), "")
        for known in (IMAGE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
    )
    if not image or not label:
        raise DataFault(f"{file}: columns are {quoted(header, file)}; expected image, label and corners")
    corners = next(names for names in CORNERS if set(names) <= set(header))
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            says = f"expected {len(header)} columns, got {len(cells)}"
            faults.append(fault("wrong-columns", file, says, line))
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        if split and row[split].lower() not in SPLIT_OF_WORD:
            says = f"split is {quoted(row[split], file)}; expected train, val or test"
            faults.append(fault("unknown-split", file, says, line))
            continue
        try:
            yield _row(row, (image, label, split), corners, line)
        except ValueError as error:
            says = "a corner is not a number" if leads_out(file) else brief(error)
            faults.append(fault("not-a-number", file, says, line))


def _row(row: Mapping[str, str], named: tuple[str, str, str], corners: Sequence[str], line: int) -> BoxRow:
    """named: the columns of image, label and split ("" if missing)."""
    picture, label, word = (row.get(name, "") for name in named)
    split = next((each for each in SPLITS if SPLIT_OF_WORD.get(word.lower()) == each), None)
    texts = [row[name] for name in corners]
    if not any(texts) and not label:
        return BoxRow(line, picture, "", None, split)
    left, top, right, bottom = (float(text) for text in texts)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise ValueError(f"{picture[:100]}: a corner is NaN or infinite")
    return BoxRow(line, picture, label, (left, top, right, bottom), split)


def _box(
    row: BoxRow, corners: tuple[float, float, float, float], index: int, size: tuple[int, int], file: Path
) -> tuple[Box | None, list[Fault]]:
    width, height = size
    left, top, right, bottom = (value / side for value, side in zip(corners, size * 2, strict=True))
    if min(left, top) < -TOLERANCE or max(right, bottom) > 1 + TOLERANCE:
        name, given = bare(row.picture, file), quoted(corners, file)
        says = f"{name}: the box {given} is outside the {width}x{height} image"
        return None, [fault("outside-image", file, says, row.line)]
    return box_of_corners(index, left, top, right, bottom, file, row.line)


def _size(picture: Path) -> tuple[int, int]:
    try:
        return upright_size(picture)
    except DataFault:
        raise
    except Exception as error:  # Pillow's decoders raise any exception on broken content
        raise DataFault(f"{picture}: cannot be read as an image") from error
