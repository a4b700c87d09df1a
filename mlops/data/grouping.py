"""Which images belong together (of a patient or a sequence) and must be in the same split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.readers.layout import IMAGE_COLUMNS, coco_files
from mlops.data.readers.table import GROUP_COLUMNS
from mlops.errors import BadSetting, DataFault
from mlops.files.text_files import read_json, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Grouping:
    """How to find groups; with neither field, each image is its own group.

    column: a column of a table, or a field of COCO's images.
    pattern: a regular expression, searched in each image's path; its groups, or else the whole match, are the
        group's name.
    """

    column: str = ""
    pattern: str = ""

    def __bool__(self) -> bool:
        return bool(self.column or self.pattern)


EACH_FOR_ITSELF = Grouping()


def groups_of(pictures: Sequence[Path], root: Path, grouping: Grouping) -> list[str]:
    """The group of each image, in their order.

    Raises BadSetting for an invalid pattern or an unknown column, DataFault for an image without a group.
    """
    if grouping.column and grouping.pattern:
        raise BadSetting("--group-by", "--group-pattern", grouping.pattern, "only one of the two")
    if grouping.pattern:
        return [_matched(grouping.pattern, _name(picture, root)) for picture in pictures]
    if grouping.column:
        values = _values(root, grouping.column)
        return [_looked_up(values, picture, root, grouping.column) for picture in pictures]
    return [_name(picture, root) for picture in pictures]


def group_column(table: Path) -> str:
    """The first column of a table with a known name of a group column; "" if there is none."""
    header = _rows(table)[0]
    return next((name for name in header if name.strip().lower() in GROUP_COLUMNS), "")


def _matched(pattern: str, name: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise BadSetting("--group-pattern", "pattern", pattern, f"a regular expression ({error})") from error
    if found is None:
        raise DataFault(f"{name} does not match --group-pattern {pattern!r}; every image needs a group")
    return "/".join(part or "" for part in found.groups()) if found.groups() else found.group()


def _values(root: Path, column: str) -> Mapping[str, str]:
    """Group by image name, from the tables and COCO files of a data set."""
    tables = [root] if root.is_file() else sorted([*root.glob("*.csv"), *root.glob("*.tsv")])
    seen: list[str] = []
    for table in (each for each in tables if each.suffix.lower() in (".csv", ".tsv")):
        header, rows = _rows(table)
        seen += header
        image = next((name for name in header if name.strip().lower() in IMAGE_COLUMNS), None)
        if column in header and image is not None:
            return {row[header.index(image)].strip(): row[header.index(column)].strip() for row in rows}
    for file in [root] if root.suffix == ".json" else coco_files(root) if root.is_dir() else []:
        images = _images_of(read_json(file))
        fields = images[0] if images else {}
        seen += [key for key in fields if key not in seen]
        if column in fields:
            return {str(each.get("file_name")): str(each.get(column, "")) for each in images}
    raise BadSetting(
        str(root), "--group-by", column, ", ".join(seen) or "a column of a table beside the images"
    )


def _images_of(content: object) -> list[dict[str, object]]:
    images = content.get("images") if isinstance(content, dict) else None
    return [each for each in images if isinstance(each, dict)] if isinstance(images, list) else []


def _rows(table: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = [cells for _, cells in read_table(table)] or [[]]
    return header, [row for row in rows if len(row) == len(header)]


def _looked_up(values: Mapping[str, str], picture: Path, root: Path, column: str) -> str:
    """The value by path, name or stem: tables use any of these."""
    for key in (_name(picture, root), picture.name, picture.stem):
        if values.get(key):
            return values[key]
    matching = {group for key, group in values.items() if group and Path(key).name == picture.name}
    if len(matching) == 1:
        return matching.pop()
    raise DataFault(f"{_name(picture, root)} has no value in column {column!r}; every image needs a group")


def _name(picture: Path, root: Path) -> str:
    base = root if root.is_dir() else root.parent
    return picture.relative_to(base).as_posix() if picture.is_relative_to(base) else picture.as_posix()
