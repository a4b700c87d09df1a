"""Write a data set as a YOLO folder or as an ImageFolder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mlops.data.dataset import Box, BoxedImage, LabelledImages, SplitName
from mlops.data.image_files import opened_image
from mlops.data.pixels import as_rgb
from mlops.data.readers.layout import upright
from mlops.data.ultralytics_view import label_text
from mlops.errors import DataFault
from mlops.machine.processors import most_threads
from mlops.terminal.progress import counted, tracked

if TYPE_CHECKING:
    from PIL import Image

Boxed: TypeAlias = Mapping[SplitName, Sequence[BoxedImage]]
Labelled: TypeAlias = Mapping[SplitName, LabelledImages]
CONTEXT = 0.15  # fraction of the longer side, added on each side of a crop
LEAST_SIDE_PIXELS = 8
PNG_LEVEL = 1  # a third less time than level 4, a sixth more bytes


def write_yolo(folder: Path, classes: Sequence[str], splits: Boxed) -> int:
    """Write `images/<split>` (copies), `labels/<split>` and `data.yaml`. Returns the number of boxes."""
    count = 0
    for split, pictures in splits.items():
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for stem, picture in tracked(list(_named(pictures)), f"Writing {split}"):
            shutil.copyfile(picture.image, images / f"{stem}{picture.image.suffix}")
            (labels / f"{stem}.txt").write_text(label_text(picture.boxes), encoding="utf-8")
            count += len(picture.boxes)
    names = "".join(f"  {i}: {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(classes))
    places = "".join(f"{split}: images/{split}\n" for split in splits)
    (folder / "data.yaml").write_text(f"{places}nc: {len(classes)}\nnames:\n{names}", encoding="utf-8")
    return count


def write_objects(folder: Path, classes: Sequence[str], splits: Boxed) -> int:
    """Write a square crop of each object, with some context, to `<split>/<class>/`. Returns their number."""
    folders = _class_folders(classes)
    count = 0
    with ThreadPoolExecutor(most_threads()) as pool:  # encoding releases the GIL
        for split, pictures in splits.items():
            homes = [folder / split / name for name in folders]
            for home in homes:
                home.mkdir(parents=True)
            written = pool.map(partial(_write_objects_of, homes), _named(pictures))
            count += sum(counted(written, len(pictures), f"Writing {split}"))
    return count


def _write_objects_of(homes: Sequence[Path], named: tuple[str, BoxedImage]) -> int:
    stem, picture = named
    if not picture.boxes:
        return 0
    try:
        with opened_image(picture.image) as opened:
            whole = as_rgb(upright(opened))  # boxes are fractions of the image as displayed
    except DataFault:
        raise
    except Exception as error:  # Pillow's decoders raise any exception on broken content
        raise DataFault(f"{picture.image}: cannot be read as an image ({error})") from error
    for number, box in enumerate(picture.boxes):
        to = homes[box.class_index] / f"{stem}_{number:03d}.png"
        cut_out(whole, box).save(to, compress_level=PNG_LEVEL)
    return len(picture.boxes)


def cut_out(picture: Image.Image, box: Box) -> Image.Image:
    """The square around a box, `CONTEXT` wider on each side, moved inside the image; clipped if larger."""
    width, height = picture.size
    side = max(box.width * width, box.height * height) * (1 + 2 * CONTEXT)
    side = max(round(side), LEAST_SIDE_PIXELS)
    left = min(max(round(box.x * width - side / 2), 0), max(width - side, 0))
    top = min(max(round(box.y * height - side / 2), 0), max(height - side, 0))
    return picture.crop((left, top, min(left + side, width), min(top + side, height)))


def write_pictures(folder: Path, classes: Sequence[str], splits: Labelled) -> int:
    """Write to `<split>/<class>/`: image files are copied, arrays become PNG. Returns their number."""
    from PIL import Image

    folders = _class_folders(classes)
    count = 0
    for split, own in splits.items():
        for name in folders:
            (folder / split / name).mkdir(parents=True)
        taken: set[str] = set()
        pairs = zip(own.images, own.labels, strict=True)
        for number, (image, label) in enumerate(counted(pairs, len(own), f"Writing {split}")):
            home = folder / split / folders[int(label)]
            if isinstance(image, Path):
                shutil.copyfile(image, home / f"{_unused(image.stem, taken)}{image.suffix}")
            else:
                Image.fromarray(image).save(home / f"{number:06d}.png", compress_level=PNG_LEVEL)
            count += 1
    return count


def _named(pictures: Iterable[BoxedImage]) -> Iterator[tuple[str, BoxedImage]]:
    """Each image with a stem that is unique in its split."""
    taken: set[str] = set()
    for picture in pictures:
        yield _unused(picture.image.stem, taken), picture


def _unused(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem_2` and so on if taken; it is added to `taken`."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name)
    return name


def _class_folders(classes: Sequence[str]) -> list[str]:
    """A folder name for each class. Raises DataFault if two classes would share one."""
    folders = [re.sub(r"[/\\\0]", "_", name).strip(". ") or "_" for name in classes]
    if len(set(folders)) < len(folders):
        raise DataFault(f"two of the classes {', '.join(classes)} have the same folder name; rename one")
    return folders
