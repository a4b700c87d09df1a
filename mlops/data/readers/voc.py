"""Read Pascal VOC (Everingham et al., IJCV 2010), also as LabelImg and Roboflow write it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import SPLITS, Box, BoxedImage, DetectionSource, SplitName
from mlops.data.faults import Fault, FaultLog, fault
from mlops.data.image_suffixes import is_picture
from mlops.data.readers.layout import folder_of_split, pictures_in, upright_size
from mlops.data.readers.yolo_files import TOLERANCE, box_of_corners
from mlops.data.splits import draw_detection
from mlops.errors import DataFault
from mlops.files.limits import LIST_BYTES
from mlops.files.regular_files import exists, is_regular, leads_out
from mlops.files.text_files import quoted, read_text, read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def read(path: Path, name: str, seed: int = 0) -> DetectionSource:
    """Read a VOC folder. The classes are the sorted object names; difficult objects are included.

    Splits: ImageSets/Main/{train,val,test}.txt, else folders train/, valid/, test/, else drawn by seed.
    Raises DataFault if there are no images or no objects.
    """
    root = path.resolve()
    places = VocFolders(root)
    pictures, faults = _listed(root, places)
    if not pictures:
        pictures, faults = _in_folders(root), []
    made_split = not pictures
    if made_split:
        pictures = {"train": sorted(places.pictures.values())}
        says = "no splits; train, val and test are drawn from all images by seed"
        faults = [fault("made-split", root, says)]
    read_from = _Annotations(places)
    found = {split: [read_from.objects(picture) for picture in own] for split, own in pictures.items()}
    classes = tuple(sorted({each.name for own in found.values() for objects in own for each in objects}))
    if not classes:
        raise DataFault(
            f"{root}: no objects in any annotation; expected Annotations/*.xml beside JPEGImages/"
        )
    labelled = {
        split: tuple(
            BoxedImage(picture, _boxes(objects, classes))
            for picture, objects in zip(own, found[split], strict=True)
        )
        for split, own in pictures.items()
    }
    return DetectionSource(
        name=name,
        root=root,
        classes=classes,
        splits=draw_detection(labelled["train"], seed) if made_split else labelled,
        files=tuple(read_from.files),
        faults=(*faults, *read_from.faults, *places.orphans(), *_empty(labelled, root)),
        sizes=read_from.sizes,
        made_split=made_split,
    )


class VocFolders:
    """Images and annotations by stem."""

    def __init__(self, root: Path) -> None:
        images, annotations = root / "JPEGImages", root / "Annotations"
        self.pictures = {
            each.stem: each for each in pictures_in(images if images.is_dir() else root, deep=images.is_dir())
        }
        self._annotations = annotations if annotations.is_dir() else None
        self._root = root

    def annotation(self, picture: Path) -> Path:
        return (self._annotations or picture.parent) / f"{picture.stem}.xml"

    def orphans(self) -> list[Fault]:
        """Annotations without an image."""
        inner = [found for split in SPLITS if (found := folder_of_split(self._root, split)) is not None]
        folders = [self._annotations] if self._annotations else [self._root, *inner]
        lost: list[Fault] = []
        for folder in folders:
            stems = (
                set(self.pictures)
                if folder == self._annotations
                else {Path(name).stem for name in os.listdir(folder) if is_picture(name)}  # noqa: PTH208
            )
            lost += [
                fault("orphan-label", each, "the image of this annotation is missing")
                for each in sorted(folder.glob("*.xml"))
                if each.stem not in stems
            ]
        return lost


class _Annotations:
    """Reads each image's annotation once; collects files and faults."""

    def __init__(self, places: VocFolders) -> None:
        self.places = places
        self.files: list[Path] = []
        self.faults = FaultLog()
        self.sizes: dict[Path, tuple[int, int]] = {}
        self._known: dict[Path, tuple[VocObject, ...]] = {}

    def objects(self, picture: Path) -> tuple[VocObject, ...]:
        if picture not in self._known:
            self._known[picture] = self._read(picture)
        return self._known[picture]

    def _read(self, picture: Path) -> tuple[VocObject, ...]:
        self.files.append(picture)
        file = self.places.annotation(picture)
        if not exists(file):
            self.faults.append(
                fault("missing-label", picture, f"annotation {file.name} is missing; used as background")
            )
            return ()
        self.files.append(file)
        annotation = read_annotation(file, picture)
        self.faults.extend(annotation.faults)
        if annotation.declared_size is not None:
            self.sizes[picture] = annotation.declared_size
        return annotation.objects


def _boxes(objects: Iterable[VocObject], classes: tuple[str, ...]) -> tuple[Box, ...]:
    index = {each: position for position, each in enumerate(classes)}
    return tuple(box_of(each, index[each.name]) for each in objects)


def _listed(root: Path, places: VocFolders) -> tuple[dict[SplitName, list[Path]], list[Fault]]:
    """The images listed in ImageSets/Main."""
    found: dict[SplitName, list[Path]] = {}
    faults: list[Fault] = []
    for split in SPLITS:
        file = root / "ImageSets" / "Main" / f"{split}.txt"
        if not is_regular(file):
            continue
        found[split] = []
        for number, line in enumerate(read_text(file, LIST_BYTES).splitlines(), start=1):
            stem = line.strip()
            if not stem:
                continue
            picture = places.pictures.get(stem) or places.pictures.get(stem.split()[0])
            if picture is None:
                faults.append(
                    fault(
                        "missing-image", file, f"image {quoted(stem, file)} is missing in JPEGImages", number
                    )
                )
            else:
                found[split].append(picture)
    return found, faults


def _in_folders(root: Path) -> dict[SplitName, list[Path]]:
    folders = {split: folder_of_split(root, split) for split in SPLITS}
    return {split: pictures_in(folder) for split, folder in folders.items() if folder is not None}


def _empty(splits: Mapping[SplitName, tuple[BoxedImage, ...]], root: Path) -> list[Fault]:
    return [
        fault("empty-split", root, f"no images in the {split} split")
        for split, own in splits.items()
        if not own
    ]


_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object; box: with class 0, since the classes are known only after all files are read."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Annotation:
    """declared_size: width and height in pixels; None if the file does not state them."""

    objects: tuple[VocObject, ...] = ()
    faults: tuple[Fault, ...] = ()
    declared_size: tuple[int, int] | None = None


def read_annotation(file: Path, picture: Path) -> Annotation:
    """The objects of one annotation; one with an error or without area is omitted, with a fault."""
    try:
        tree, content = read_xml(file)
    except DataFault as error:
        line, says = _line_and_problem(error, file)
        return Annotation(faults=(fault("unreadable-label", file, says, line),))
    declared = _declared_size(tree)
    try:
        width, height = declared or upright_size(picture)
    except Exception:  # noqa: BLE001 (Pillow's decoders raise any exception on broken content)
        says = "the image size is missing, and the image cannot be read"
        return Annotation(faults=(fault("unreadable-label", file, says),))
    lines = [content.count(b"\n", 0, each.start()) + 1 for each in re.finditer(rb"<object[\s>]", content)]
    objects: list[VocObject] = []
    faults: list[Fault] = []
    for position, element in enumerate(tree.iter("object")):
        line = lines[position] if position < len(lines) else None
        found, wrong = _read_object(element, width, height, file, line)
        faults.extend(wrong)
        if found is not None:
            objects.append(found)
    return Annotation(tuple(objects), tuple(faults), declared)


def _line_and_problem(error: DataFault, file: Path) -> tuple[int | None, str]:
    matched = re.fullmatch(r":(\d+): (.*)", str(error).removeprefix(str(file)), re.DOTALL)
    return (
        (int(matched[1]), matched[2]) if matched else (None, str(error).removeprefix(str(file)).lstrip(": "))
    )


def box_of(found: VocObject, index: int) -> Box:
    """An object's box with its class's number."""
    return Box(index, found.box.x, found.box.y, found.box.width, found.box.height)


def _read_object(
    element: Element, width: int, height: int, file: Path, line: int | None
) -> tuple[VocObject | None, list[Fault]]:
    name = (element.findtext("name") or "").strip()
    if not name:
        return None, [fault("unknown-class", file, "an object has no name", line)]
    called = "an object" if leads_out(file) else name[:100]
    texts = [element.findtext(f"bndbox/{corner}") for corner in _CORNERS]
    if any(text is None for text in texts):
        lost = _CORNERS[texts.index(None)]
        return None, [fault("wrong-columns", file, f"{called}: {lost} of the box is missing", line)]
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        return None, [
            fault(
                "not-a-number", file, f"{called}: a corner is {quoted(texts, file)}; expected numbers", line
            )
        ]
    if not all(map(math.isfinite, values)):
        return None, [fault("not-a-number", file, f"{called}: a corner is NaN or infinite", line)]
    corners = [each / side for each, side in zip(values, (width, height) * 2, strict=True)]
    if min(corners) < -TOLERANCE or max(corners) > 1 + TOLERANCE:
        given = quoted(tuple(float(f"{each:g}") for each in values), file)
        says = f"{called}: the box {given} is outside the {width}x{height} image"
        return None, [fault("outside-image", file, says, line)]
    left, top, right, bottom = corners
    box, faults = box_of_corners(0, left, top, right, bottom, file, line)
    return (None if box is None else VocObject(name, box)), faults


def _declared_size(tree: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(float(tree.findtext(f"size/{each}") or "0")) for each in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
