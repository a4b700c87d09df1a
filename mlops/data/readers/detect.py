"""Detect the format of a path, and read it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Literal

from mlops.data.dataset import Source, images_of
from mlops.data.faults import Fault, fault
from mlops.data.image_suffixes import is_picture, left_out, missing_decoder, needs_decoder
from mlops.data.readers.layout import (
    SPLIT_OF_WORD,
    coco_files,
    is_unicode,
    only_file,
    pictures_in,
    subfolders,
    table_file,
    yolo_yaml,
)
from mlops.errors import DataFault
from mlops.files.limits import CLASS_NAME_CHARACTERS, CLASSES
from mlops.files.regular_files import exists, reading_below, refuse_odd

Format = Literal["yolo", "voc", "coco", "npz", "imagefolder", "table"]

_OF_SUFFIX: dict[str, Format] = {
    ".yaml": "yolo",
    ".yml": "yolo",
    ".json": "coco",
    ".npz": "npz",
    ".csv": "table",
    ".tsv": "table",
}
ACCEPTED = (
    "a YOLO folder or data.yaml, a Pascal VOC folder, COCO JSON, a MedMNIST npz, "
    "a folder of class folders, or a CSV of image and label"
)


def read_source(path: Path, *, name: str = "", seed: int = 0, classes: Sequence[str] = ()) -> Source:
    """Read one path of any supported format.

    name: the source's name; "" for the folder's or file's name.
    seed: for drawing splits if the source has none.
    classes: label names for a format without names (npz).

    Raises DataFault if the path as a whole cannot be read; faults of single files or rows are in the source's
    `faults`.
    """
    found = detect_format(path)
    with reading_below(path if path.is_dir() else path.parent):
        source = _read(path, found, name or source_name(path), seed, classes)
    _refuse_odd_classes(path, source.classes)
    says = left_out_images(path, source)
    return replace(source, faults=(*source.faults, *says)) if says else source


def _read(path: Path, found: Format, name: str, seed: int, classes: Sequence[str]) -> Source:
    if found == "yolo":
        from mlops.data.readers import yolo

        return yolo.read(path, name, seed)
    if found == "voc":
        from mlops.data.readers import voc

        return voc.read(path, name, seed)
    if found == "coco":
        from mlops.data.readers import coco

        return coco.read(path, name, seed)
    if found == "npz":
        from mlops.data.readers import npz

        return npz.read(path, name, tuple(classes))
    if found == "imagefolder":
        from mlops.data.readers import imagefolder

        return imagefolder.read(path, name, seed)
    from mlops.data.readers import table

    return table.read(path, name, seed)


def _refuse_odd_classes(path: Path, classes: Sequence[str]) -> None:
    """Raise DataFault for more classes, or longer names, than metrics and figures can be named after."""
    if len(classes) > CLASSES:
        raise DataFault(f"{path}: {len(classes):,} classes; at most {CLASSES:,} are supported")
    long = next((each for each in classes if len(each) > CLASS_NAME_CHARACTERS), None)
    if long is not None:
        says = f"a class name has {len(long):,} characters; at most {CLASS_NAME_CHARACTERS} are supported"
        raise DataFault(f"{path}: {says}; shorten it, or map it with a class map")
    odd = next((each for each in classes if not is_unicode(each)), None)
    if odd is not None:
        raise DataFault(f"{path}: the class name {odd!a} is not valid Unicode; rename it")


def left_out_images(path: Path, source: Source) -> list[Fault]:
    """Images in the set's folders that are of no format that is read, or need a decoder that is missing."""
    if path.is_dir():
        names = [name for _, _, own in os.walk(path) for name in own if not name.startswith(".")]
    else:
        folders = {each.parent for each in images_of(source)}
        names = [each.name for folder in folders if folder.is_dir() for each in folder.iterdir()]
    named = any(needs_decoder(each.name) for each in images_of(source))  # reported by those who open it
    waiting = None if named else missing_decoder(names)
    messages = (("no-decoder", waiting), ("left-out-image", left_out(names)))
    return [fault(code, path, says) for code, says in messages if says]


def source_name(path: Path) -> str:
    """A folder's name, or a file's: see `name_of_file`."""
    path = path.resolve()
    return path.name if path.is_dir() else name_of_file(path)


def name_of_file(path: PurePath) -> str:
    """A file's stem, or its folder's name for a generic file name (data.yaml, labels.csv)."""
    says_nothing = path.suffix in (".yaml", ".yml", ".json") or path.stem in ("labels", "files", "data")
    return path.parent.name if says_nothing else path.stem


def is_file_of_a_set(path: PurePath) -> bool:
    """Whether `--data` accepts such a file, by its suffix."""
    return path.suffix.lower() in _OF_SUFFIX


def detect_format(path: Path) -> Format:
    """The format of a file or folder. Raises DataFault if it is missing or not supported."""
    if not exists(path):
        raise DataFault(f"{path} does not exist; --data accepts {ACCEPTED}")
    refuse_odd(path, "--data", DataFault)
    if path.is_file():
        if path.suffix.lower() not in _OF_SUFFIX:
            raise DataFault(f"{path} is not a data set; --data accepts {ACCEPTED}")
        return _OF_SUFFIX[path.suffix.lower()]
    found = _of_folder(path)
    if found is None:
        raise DataFault(f"{path} has no data set of a supported format; --data accepts {ACCEPTED}")
    return found


def _of_folder(folder: Path) -> Format | None:
    names = [each.name for each in folder.iterdir()]
    if yolo_yaml(folder) is not None:
        return "yolo"
    if "JPEGImages" in names or ("Annotations" in names and any((folder / "Annotations").glob("*.xml"))):
        return "voc"
    if coco_files(folder):
        return "coco"
    if only_file(folder, (".npz",)) is not None:
        return "npz"
    if table_file(folder) is not None:
        return "table"
    if _has_labels(folder):
        return "yolo"
    if any(name.endswith(".xml") for name in names) or _has_annotations(folder):
        return "voc"
    if any(_holds_pictures(each) for each in subfolders(folder)):
        return "imagefolder"
    if any(is_picture(name) for name in names) and any(name.endswith(".txt") for name in names):
        return "yolo"
    return None


def _has_labels(folder: Path) -> bool:
    """labels/, train/labels/ or labels/train/ with images."""
    return (folder / "labels").is_dir() or any(
        (each / "labels").is_dir() for each in subfolders(folder) if each.name in SPLIT_OF_WORD
    )


def _has_annotations(folder: Path) -> bool:
    """train/*.xml with images, as Roboflow writes VOC."""
    return any(any(each.glob("*.xml")) for each in subfolders(folder) if each.name in SPLIT_OF_WORD)


def _holds_pictures(folder: Path) -> bool:
    return bool(pictures_in(folder))
