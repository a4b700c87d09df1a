"""Read Pascal VOC (Everingham et al., IJCV 2010) and what LabelImg and Roboflow write in its way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlops.data.dataset import SPLITS, Box, LabelledPicture, SplitName
from mlops.data.faults import Fault, fault
from mlops.data.readers.images import folder_of_split, is_picture, pictures_in
from mlops.data.readers.voc_xml import VocObject, box_of, read_annotation
from mlops.data.source import DetectionSource
from mlops.data.split import draw_detection
from mlops.data.text_file import read_text
from mlops.errors import DataFault


def read(path: Path, name: str, seed: int = 0) -> DetectionSource:
    """Read a VOC folder. The classes are the objects' names, sorted; difficult objects are read like others.

    Splits: ImageSets/Main/{train,val,test}.txt, else folders train/, valid/, test/, else drawn by seed.
    Raises DataFault where there are no pictures or no objects.
    """
    root = path.resolve()
    places = Places(root)
    pictures, faults = _listed(root, places)
    if not pictures:
        pictures, faults = _in_folders(root), []
    made_split = not pictures
    if made_split:
        pictures = {"train": sorted(places.pictures.values())}
        says = "no splits: train, val and test are drawn from all pictures by seed"
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
            LabelledPicture(picture, _boxes(objects, classes))
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


class Places:
    """Where pictures and annotations lie, by stem."""

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
        """Annotations of pictures that are not there."""
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
                fault("orphan-label", each, "no picture belongs to this annotation")
                for each in sorted(folder.glob("*.xml"))
                if each.stem not in stems
            ]
        return lost


class _Annotations:
    """Reads each picture's annotation once, and remembers what it read and what was wrong."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.files: list[Path] = []
        self.faults: list[Fault] = []
        self.sizes: dict[Path, tuple[int, int]] = {}
        self._known: dict[Path, tuple[VocObject, ...]] = {}

    def objects(self, picture: Path) -> tuple[VocObject, ...]:
        if picture not in self._known:
            self._known[picture] = self._read(picture)
        return self._known[picture]

    def _read(self, picture: Path) -> tuple[VocObject, ...]:
        self.files.append(picture)
        file = self.places.annotation(picture)
        if not file.is_file():
            self.faults.append(
                fault("missing-label", picture, f"no annotation {file.name}; taken as background")
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


def _listed(root: Path, places: Places) -> tuple[dict[SplitName, list[Path]], list[Fault]]:
    """The pictures that ImageSets/Main names."""
    found: dict[SplitName, list[Path]] = {}
    faults: list[Fault] = []
    for split in SPLITS:
        file = root / "ImageSets" / "Main" / f"{split}.txt"
        if not file.is_file():
            continue
        found[split] = []
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            stem = line.strip()
            if not stem:
                continue
            picture = places.pictures.get(stem) or places.pictures.get(stem.split()[0])
            if picture is None:
                faults.append(fault("missing-image", file, f"{stem} has no picture in JPEGImages", number))
            else:
                found[split].append(picture)
    return found, faults


def _in_folders(root: Path) -> dict[SplitName, list[Path]]:
    folders = {split: folder_of_split(root, split) for split in SPLITS}
    return {split: pictures_in(folder) for split, folder in folders.items() if folder is not None}


def _empty(splits: Mapping[SplitName, tuple[LabelledPicture, ...]], root: Path) -> list[Fault]:
    return [
        fault("empty-split", root, f"no pictures in the {split} split")
        for split, own in splits.items()
        if not own
    ]
