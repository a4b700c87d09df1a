"""Read which picture of a set has which label, from a table beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.data.faults import Fault, fault
from mlops.data.readers.layout import IMAGE_COLUMNS, LABEL_COLUMNS
from mlops.data.text_file import read_table
from mlops.errors import DataFault


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    name: str
    label: str


def labels_of_table(file: Path, pictures: Iterable[Path]) -> tuple[dict[Path, str], list[Fault]]:
    """The label of each of `pictures` that the table names, and what is wrong with its rows.

    A picture is named by its path beside the table (or in images/ there), by its file's name, or by its stem.
    Raises DataFault where the table cannot be read or its header names no picture and label.
    """
    faults: list[Fault] = []
    places = _Places(file.parent, pictures)
    labels: dict[Path, str] = {}
    line_of: dict[Path, int] = {}
    for row in _rows(file, faults):
        found = places.find(row.name)
        if len(found) != 1:
            says = f"names {len(found)} pictures by {row.name!r}; give the path" if found else (
                f"{row.name!r} is no picture of this data set"
            )  # fmt: skip
            faults.append(fault("orphan-image-label", file, says, row.line))
            continue
        (picture,) = found
        if labels.setdefault(picture, row.label) != row.label:
            says = f"{row.name} is {row.label} here and {labels[picture]} in line {line_of[picture]}"
            faults.append(fault("conflicting-label", file, says, row.line))
        line_of.setdefault(picture, row.line)
    return labels, faults


def _rows(file: Path, faults: list[Fault]) -> Iterator[_Row]:
    """The rows that hold a name and a label; an empty label is as if the row were not there."""
    table = read_table(file)
    header = [each.strip().lower() for each in next(table, (1, []))[1]]
    image, label = _position(header, IMAGE_COLUMNS), _position(header, LABEL_COLUMNS)
    if image is None or label is None:
        raise DataFault(f"{file}: columns are {', '.join(header) or 'none'}; it needs image and label")
    for line, cells in table:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            says = f"{len(cells)} columns, the header has {len(header)}"
            faults.append(fault("wrong-columns", file, says, line))
        elif cells[label].strip():
            yield _Row(line, cells[image].strip(), cells[label].strip())


def _position(header: Sequence[str], accepted: Sequence[str]) -> int | None:
    return next((header.index(each) for each in accepted if each in header), None)


class _Places:
    """Finds pictures of a set by what a table calls them."""

    def __init__(self, folder: Path, pictures: Iterable[Path]) -> None:
        self._folder = folder
        self._paths: dict[Path, Path] = {}
        self._names: dict[str, set[Path]] = defaultdict(set)
        for picture in pictures:
            self._paths[picture.absolute()] = picture
            self._paths[picture.resolve()] = picture
            for name in {picture.name, picture.stem}:
                self._names[name].add(picture)

    def find(self, name: str) -> set[Path]:
        for base in (self._folder, self._folder / "images"):
            exact = self._paths.get(base / name)
            if exact is not None:
                return {exact}
        return self._names.get(name, set())
