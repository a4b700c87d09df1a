"""Give Ultralytics a detection set as a YOLO folder in our cache.

Ultralytics writes label caches beside labels and repairs broken JPEGs in place. It does so in this view, and
the user's folder stays unchanged.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlops.data.dataset import Box, BoxedImage, DetectionDataset
from mlops.files.atomic import new_folder

_LAYOUT = "1"  # part of the key: raise it when the files written here change


def yolo_view(dataset: DetectionDataset, cache: Path) -> Path:
    """Return a folder with `data.yaml` (absolute path), `images/<split>` (symlinks) and `labels/<split>`.

    It is created once. Its key covers digest, classes, boxes and image paths, so a set that was mapped or
    moved gets another view. An image without boxes has no label file. Concurrent calls share one view.
    Raises OSError if the cache cannot be written.
    """
    folder = cache.resolve() / "views" / _key(dataset)
    if not (folder / "data.yaml").is_file():
        with new_folder(folder, "keep") as work:
            _write(dataset, work, folder)
    return folder


def viewed(dataset: DetectionDataset) -> Iterator[tuple[str, BoxedImage]]:
    """Each image with its path in the view."""
    for split, pictures in dataset.splits.items():
        for name, picture in _named(pictures):
            yield f"images/{split}/{name}{picture.image.suffix}", picture


def original_of(viewed: Path) -> Path:
    """The user's file behind an image of a view; a repaired copy is returned as it is."""
    return viewed.readlink() if viewed.is_symlink() else viewed


def _key(dataset: DetectionDataset) -> str:
    total = hashlib.sha256(f"{_LAYOUT}\0{dataset.identity.digest}\0{json.dumps(dataset.classes)}".encode())
    for split, pictures in dataset.splits.items():
        for picture in pictures:
            total.update(f"{split}\0{picture.image.absolute()}\0{label_text(picture.boxes)}\0".encode())
    return total.hexdigest()[:24]


def _write(dataset: DetectionDataset, work: Path, home: Path) -> None:
    for split, pictures in dataset.splits.items():
        images, labels = work / "images" / split, work / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for name, picture in _named(pictures):
            _place(picture.image.absolute(), images / f"{name}{picture.image.suffix}")
            if picture.boxes:
                (labels / f"{name}.txt").write_text(label_text(picture.boxes), encoding="utf-8")
    fields: dict[str, object] = {
        "path": str(home),
        **{split: f"images/{split}" for split in dataset.splits},
        "names": list(dataset.classes),
    }
    (work / "data.yaml").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")  # JSON is YAML


def _named(pictures: Sequence[BoxedImage]) -> Iterator[tuple[str, BoxedImage]]:
    """A unique name for each image, which contains the original one."""
    for index, picture in enumerate(pictures):
        yield f"{index:06d}-{picture.image.stem[:120]}", picture


def _place(picture: Path, at: Path) -> None:
    """Link an image; copy a truncated JPEG, since Ultralytics repairs those in place."""
    with picture.open("rb") as stream:
        odd_end = stream.read(2) == b"\xff\xd8" and (stream.seek(-2, 2), stream.read())[1] != b"\xff\xd9"
    if odd_end:
        shutil.copyfile(picture, at)
    else:
        at.symlink_to(picture)


def label_text(boxes: Sequence[Box]) -> str:
    """Boxes as YOLO rows.

    If one has an outline, the others are written as outlines of four corners: Ultralytics treats a file with
    outlines as one that has only outlines.
    """
    outlined = any(box.polygon for box in boxes)
    return "".join(f"{box.class_index} {_numbers(_values(box, outlined))}\n" for box in boxes)


def _values(box: Box, outlined: bool) -> tuple[float, ...]:
    if box.polygon:
        return box.polygon
    if not outlined:
        return (box.x, box.y, box.width, box.height)
    left, right = max(box.x - box.width / 2, 0.0), min(box.x + box.width / 2, 1.0)
    top, bottom = max(box.y - box.height / 2, 0.0), min(box.y + box.height / 2, 1.0)
    return (left, top, right, top, right, bottom, left, bottom)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.8g}" for value in values)
