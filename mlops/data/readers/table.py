"""Read a CSV of images and labels, with optional columns for split and group (patient, sequence)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.data.dataset import SPLITS, ClassificationSource, LabelledImages, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.image_files import image_at
from mlops.data.image_suffixes import is_picture
from mlops.data.readers.imagefolder import drawn, labelled
from mlops.data.readers.layout import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_OF_WORD,
    pictures_in,
    table_file,
)
from mlops.data.splits import own_names
from mlops.errors import DataFault
from mlops.files.text_files import bare, quoted, read_table

SPLIT_COLUMNS = ("split", "set", "subset", "fold", "partition")
GROUP_COLUMNS = ("group", "patient", "patient_id", "sequence", "subject", "case", "lesion_id")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One image of a table. split, group: "" if the table has no such column."""

    line: int
    picture: Path
    label: str
    split: SplitName | None
    group: str


def read(path: Path, name: str, seed: int = 0) -> ClassificationSource:
    """Read a table, or the one in a folder. Image paths are relative to the table, or to images/ beside it.

    Raises DataFault if the header has no image and label column.
    """
    file = path if path.is_file() else table_file(path)
    if file is None:
        raise DataFault(f"{path}: no table with columns image and label found")
    given, file = Path(os.path.abspath(file)), file.resolve()  # noqa: PTH100 (messages name the link)
    faults = FaultLog()
    rows = list(_rows(given, file.parent, faults))
    if not rows:
        raise DataFault(f"{given}: no row has an existing image; {_first(faults)}")
    classes = _sorted_classes({row.label for row in rows})
    number = {each: position for position, each in enumerate(classes)}
    rows = _without_conflicts(rows, given, faults)
    found = [(row.picture, number[row.label]) for row in rows]
    made_split = all(row.split is None for row in rows)
    if made_split:
        faults.append(
            fault("made-split", given, "no split column; train, val and test are drawn by group and seed")
        )
        names = own_names([row.picture for row in rows])
        splits = drawn(found, [row.group or name for row, name in zip(rows, names, strict=True)], seed)
    else:
        splits = _given(rows, found, given, faults)
    files = (file, *(row.picture for row in rows))
    return ClassificationSource(name, file.parent, classes, splits, files, tuple(faults), made_split)


def _rows(file: Path, folder: Path, faults: list[Fault]) -> Iterator[TableRow]:
    """The valid rows; the others become faults. A repeated row is skipped."""
    places, rows = Pictures(folder), read_table(file)
    columns = _Columns.of(next(rows, (1, []))[1], file)
    seen: set[tuple[str, ...]] = set()
    for line, cells in rows:
        if (key := tuple(cells)) in seen:
            continue
        seen.add(key)
        if any(cell.strip() for cell in cells):
            row = columns.row(cells, line, places, file, faults)
            if row is not None:
                yield row


@dataclass(frozen=True, slots=True)
class _Columns:
    """The position of each column; None if the table does not have it."""

    count: int
    image: int
    label: int
    split: int | None
    group: int | None

    @classmethod
    def of(cls, header: Sequence[str], file: Path) -> _Columns:
        names = [each.strip().lower() for each in header]

        def position(accepted: Sequence[str]) -> int | None:
            return next((names.index(each) for each in accepted if each in names), None)

        image, label = position(IMAGE_COLUMNS), position(LABEL_COLUMNS)
        if image is None or label is None:
            raise DataFault(f"{file}: columns are {quoted(header, file)}; expected image and label")
        return cls(len(names), image, label, position(SPLIT_COLUMNS), position(GROUP_COLUMNS))

    def row(
        self, cells: Sequence[str], line: int, places: Pictures, file: Path, faults: list[Fault]
    ) -> TableRow | None:
        if len(cells) != self.count:
            faults.append(
                fault("wrong-columns", file, f"expected {self.count} columns, got {len(cells)}", line)
            )
            return None
        name, label = cells[self.image].strip(), cells[self.label].strip()
        picture = places.find(name)
        if picture is None:
            faults.append(fault("missing-image", file, f"image {quoted(name, file)} is missing", line))
            return None
        if not label:
            faults.append(
                fault("missing-label", file, f"{bare(name, file)} has no label and is omitted", line)
            )
            return None
        split: SplitName | None = None
        if self.split is not None:
            word = cells[self.split].strip().lower()
            split = next((each for each in SPLITS if SPLIT_OF_WORD.get(word) == each), None)
            if split is None:
                says = f"split is {quoted(cells[self.split], file)}; expected train, val or test"
                faults.append(fault("unknown-split", file, says, line))
                return None
        return TableRow(line, picture, label, split, "" if self.group is None else cells[self.group].strip())


class Pictures:
    """Finds a table's images: by path, in images/, or by stem in any subfolder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stems: dict[str, Path] | None = None

    def find(self, name: str) -> Path | None:
        if not name:
            return None
        for base in (self._folder, self._folder / "images"):
            if (found := image_at(base, name)) is not None:
                return found
        if is_picture(name):
            return None
        if self._stems is None:
            self._stems = {each.stem: each for each in pictures_in(self._folder)}
        return self._stems.get(name)


def _given(
    rows: Sequence[TableRow], found: Sequence[tuple[Path, int]], file: Path, faults: list[Fault]
) -> dict[SplitName, LabelledImages]:
    """The splits in the table; a group in more than one of them is a fault."""
    splits_of: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.group and row.split:
            splits_of[row.group].add(row.split)
    for group, names in sorted(splits_of.items()):
        if len(names) > 1:
            faults.append(
                fault(
                    "group-across-splits",
                    file,
                    f"group {bare(group, file)} is in {' and '.join(sorted(names))}",
                )
            )
    own = {
        split: [each for each, row in zip(found, rows, strict=True) if row.split == split] for split in SPLITS
    }
    return {split: labelled(each) for split, each in own.items() if each or split != "test"}


def _without_conflicts(rows: Sequence[TableRow], file: Path, faults: list[Fault]) -> list[TableRow]:
    """Each image once per split; another row with a different label is a fault."""
    first: dict[Path, TableRow] = {}
    seen: set[tuple[Path, SplitName | None]] = set()
    kept: list[TableRow] = []
    for row in rows:
        before = first.setdefault(row.picture, row)
        if before.label != row.label:
            label, first_label = bare(row.label, file), bare(before.label, file)
            says = f"{row.picture.name} is {label}, but {first_label} in line {before.line}"
            faults.append(fault("conflicting-label", file, says, row.line))
        elif (row.picture, row.split) not in seen:
            seen.add((row.picture, row.split))
            kept.append(row)
    return kept


def _sorted_classes(labels: set[str]) -> tuple[str, ...]:
    """By number if all are numbers (2 before 10), else by name."""
    if all(each.isdecimal() and len(each) < 20 for each in labels):
        return tuple(sorted(labels, key=lambda each: (int(each), each)))
    return tuple(sorted(labels))


def _first(faults: Sequence[Fault]) -> str:
    return f"line {faults[0].line}: {faults[0].says}" if faults else "it has no rows"
