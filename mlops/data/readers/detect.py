"""Detect the format of a path, and read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal

from mlops.data.dataset import Source
from mlops.data.readers.layout import (
    SPLIT_OF_WORD,
    coco_files,
    is_picture,
    only_file,
    pictures_in,
    subfolders,
    table_file,
    yolo_yaml,
)
from mlops.errors import DataFault

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
    name = name or source_name(path)
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
    if not path.exists():
        raise DataFault(f"{path} does not exist; --data accepts {ACCEPTED}")
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
