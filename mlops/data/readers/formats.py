"""Tell which format a path holds, and read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal

from mlops.data.readers.images import SPLIT_OF_WORD, is_picture, pictures_in, subfolders
from mlops.data.source import Source
from mlops.errors import DataFault

Format = Literal["yolo", "voc", "coco", "npz", "imagefolder", "table"]
FORMATS: tuple[Format, ...] = ("yolo", "voc", "coco", "npz", "imagefolder", "table")

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
    """Read one path, whatever its format.

    name: what to call the source; "" for the folder's or file's own name.
    seed: used where the source has no splits and they have to be drawn.
    classes: names for the labels where the format has none (npz).

    Raises DataFault where nothing can be made of the path at all; what is wrong with single files or rows
    is in the source's `faults`.
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
    """A folder's own name, or a file's: see `name_of_file`."""
    path = path.resolve()
    return path.name if path.is_dir() else name_of_file(path)


def name_of_file(path: PurePath) -> str:
    """A file's stem, or its folder's name where the file's says nothing (data.yaml, labels.csv)."""
    says_nothing = path.suffix in (".yaml", ".yml", ".json") or path.stem in ("labels", "files", "data")
    return path.parent.name if says_nothing else path.stem


def is_file_of_a_set(path: PurePath) -> bool:
    """By its suffix, one that `--data` takes."""
    return path.suffix.lower() in _OF_SUFFIX


def detect_format(path: Path) -> Format:
    """The format of a file or folder. Raises DataFault when it is none that can be read, or not there."""
    if not path.exists():
        raise DataFault(f"{path} does not exist; --data takes {ACCEPTED}")
    if path.is_file():
        if path.suffix.lower() not in _OF_SUFFIX:
            raise DataFault(f"{path} is no data set; --data takes {ACCEPTED}")
        return _OF_SUFFIX[path.suffix.lower()]
    found = _of_folder(path)
    if found is None:
        raise DataFault(f"{path} holds no data set that can be read; --data takes {ACCEPTED}")
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
    """labels/, train/labels/ or labels/train/ beside pictures."""
    return (folder / "labels").is_dir() or any(
        (each / "labels").is_dir() for each in subfolders(folder) if each.name in SPLIT_OF_WORD
    )


def _has_annotations(folder: Path) -> bool:
    """train/*.xml beside pictures, as Roboflow writes VOC."""
    return any(any(each.glob("*.xml")) for each in subfolders(folder) if each.name in SPLIT_OF_WORD)


def _holds_pictures(folder: Path) -> bool:
    return bool(pictures_in(folder))


def only_file(folder: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The one file with such a suffix in `folder`; None where there is none or more than one."""
    found = [
        each for each in folder.iterdir() if each.suffix.lower() in suffixes and not each.name.startswith(".")
    ]
    return found[0] if len(found) == 1 else None


def yolo_yaml(folder: Path) -> Path | None:
    """data.yaml, dataset.yaml, or the one YAML file in `folder` that says `train:`."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (folder / name).is_file():
            return folder / name
    only = only_file(folder, (".yaml", ".yml"))
    if only is not None and any(
        line.startswith("train:") for line in only.read_text(encoding="utf-8", errors="replace").splitlines()
    ):
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
    """By its beginning or end: a file of millions of annotations is not read to know what it is."""
    with file.open("rb") as stream:
        head = stream.read(65536)
        stream.seek(max(0, file.stat().st_size - 65536))
        tail = stream.read()
    return any(word in part for part in (head, tail) for word in (b'"annotations"', b'"categories"'))


IMAGE_COLUMNS = ("image", "image_path", "path", "file", "filename", "file_name", "img", "image_id", "name")
LABEL_COLUMNS = ("label", "class", "class_name", "target", "category", "diagnosis", "dx")


def table_file(folder: Path) -> Path | None:
    """labels.csv, or the one table in `folder` whose header names a picture and a label."""
    named = folder / "labels.csv"
    only = named if named.is_file() else only_file(folder, (".csv", ".tsv"))
    if only is None:
        return None
    with only.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = stream.readline()
    columns = {each.strip().strip('"').lower() for each in header.split(max(",;\t", key=header.count))}
    return only if columns & set(IMAGE_COLUMNS) and columns & set(LABEL_COLUMNS) else None
