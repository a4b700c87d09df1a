"""Find images and annotation files in a folder, by the conventions of each format."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import SplitName
from mlops.data.image_files import opened_image
from mlops.data.image_suffixes import is_picture
from mlops.errors import DataFault
from mlops.files.limits import TABLE_CELL_CHARACTERS, YAML_BYTES
from mlops.files.regular_files import is_regular, open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112  # of EXIF (CIPA DC-008, 4.6.5.1.6); from 5 on, rows are columns
_ON_ITS_SIDE = (5, 6, 7, 8)
_BROKEN_EXIF = (SyntaxError, ValueError, TypeError, struct.error)


def pictures_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """Every image in `folder`, and below it if `deep`, sorted by name.

    Empty if the folder does not exist. Raises PermissionError for an unreadable folder, DataFault for a name
    that is not valid UTF-8 (from old archives), as no table or label could refer to it.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_unless_gone):
        here = Path(place)
        found.extend(here / name for name in names if is_picture(name))
        if not deep:
            folders.clear()
    odd = next((each for each in found if not is_unicode(str(each.relative_to(folder)))), None)
    if odd is not None:
        raise DataFault(
            f"{folder}: the file name {str(odd.relative_to(folder))!a} is not valid UTF-8; rename the file"
        )
    return sorted(found)


def is_unicode(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def upright_size(picture: Path) -> tuple[int, int]:
    """Width and height in pixels after applying the EXIF orientation. Raises OSError, DataFault."""
    with opened_image(picture) as opened:
        width, height = opened.size
        return (height, width) if "exif" in opened.info and lies_on_its_side(opened) else (width, height)


def upright(opened: Image) -> Image:
    """The image after applying its EXIF orientation."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(opened)
    except _BROKEN_EXIF:
        return opened


def lies_on_its_side(opened: Image) -> bool:
    """Whether the EXIF orientation swaps rows and columns; unreadable EXIF data are ignored."""
    try:
        return opened.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
    except _BROKEN_EXIF:
        return False


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in `folder` that are not hidden, sorted by name."""
    return sorted(
        each for each in folder.iterdir() if each.is_dir() and not each.name.startswith((".", "__"))
    )


def folder_of_split(root: Path, split: SplitName) -> Path | None:
    """The folder of a split directly in `root`, by any of its usual names."""
    for name in SPLIT_WORDS[split]:
        if (root / name).is_dir():
            return root / name
    return None


SPLIT_WORDS: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF_WORD: dict[str, SplitName] = {word: split for split, words in SPLIT_WORDS.items() for word in words}


IMAGE_COLUMNS = ("image", "image_path", "path", "file", "filename", "file_name", "img", "image_id", "name")
LABEL_COLUMNS = ("label", "class", "class_name", "target", "category", "diagnosis", "dx")


def only_file(folder: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The only file with such a suffix in `folder`; None if there is none or more than one."""
    found = [
        each
        for each in folder.iterdir()
        if each.suffix.lower() in suffixes and not each.name.startswith(".") and is_regular(each)
    ]
    return found[0] if len(found) == 1 else None


def yolo_yaml(folder: Path) -> Path | None:
    """data.yaml, dataset.yaml, or the only YAML file in `folder` with the key `train`."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if is_regular(folder / name):
            return folder / name
    only = only_file(folder, (".yaml", ".yml"))
    if only is not None:
        with open_regular(only) as stream:
            if any(line.startswith(b"train:") for line in stream.read(YAML_BYTES).splitlines()):
                return only
    return None


def coco_files(folder: Path) -> list[Path]:
    """The COCO files of a folder: annotations/*.json, one in each split's folder, or its own *.json."""
    annotations = folder / "annotations"
    if annotations.is_dir() and (found := sorted(annotations.glob("*.json"))):
        instances = [each for each in found if each.name.startswith("instances")]
        return instances or found
    inside = [only_file(each, (".json",)) for each in subfolders(folder) if each.name in SPLIT_OF_WORD]
    if any(inside):
        return [each for each in inside if each is not None]
    return [each for each in sorted(folder.glob("*.json")) if _is_coco(each)]


def _is_coco(file: Path) -> bool:
    """By the beginning or end of the file, so that millions of annotations need not be read."""
    if not is_regular(file):
        return False
    with open_regular(file) as stream:
        head = stream.read(65536)
        stream.seek(max(0, file.stat().st_size - 65536))
        tail = stream.read()
    return any(word in part for part in (head, tail) for word in (b'"annotations"', b'"categories"'))


def table_file(folder: Path) -> Path | None:
    """labels.csv, or the only table in `folder` with an image and a label column."""
    named = folder / "labels.csv"
    only = named if is_regular(named) else only_file(folder, (".csv", ".tsv"))
    if only is None:
        return None
    with open_regular(only) as stream:
        header = stream.readline(TABLE_CELL_CHARACTERS).decode("utf-8-sig", errors="replace")
    columns = {each.strip().strip('"').lower() for each in header.split(max(",;\t", key=header.count))}
    return only if columns & set(IMAGE_COLUMNS) and columns & set(LABEL_COLUMNS) else None
