"""Which files of a folder say what its pictures show, by the habits of each format."""

from __future__ import annotations

from pathlib import Path

from mlops.data.readers.images import SPLIT_OF_WORD, subfolders

IMAGE_COLUMNS = ("image", "image_path", "path", "file", "filename", "file_name", "img", "image_id", "name")
LABEL_COLUMNS = ("label", "class", "class_name", "target", "category", "diagnosis", "dx")


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
