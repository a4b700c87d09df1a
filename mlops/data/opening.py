"""Open the data of a training: read, reject what cannot be trained on, merge, compute the digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

from mlops.data.class_map import ClassMap, read_class_map
from mlops.data.dataset import (
    ClassificationDataset,
    ClassificationSource,
    Dataset,
    DetectionDataset,
    DetectionSource,
    Identity,
    Source,
    SplitName,
    Task,
    images_of,
)
from mlops.data.demo.demo_data import read_marker
from mlops.data.faults import raise_errors
from mlops.data.image_files import refuse_odd_images
from mlops.data.merge import digest, merged_classes, merged_images, merged_pictures
from mlops.data.places import as_recorded, local_path, names_of
from mlops.data.readers import read_source
from mlops.data.readers.image_labels import TABLE, named_labels, with_image_classes
from mlops.errors import BadSetting, DataFault

TRAINED_ON: tuple[SplitName, ...] = ("train", "val")
SPLIT_HINT = (
    "move some train images there, whole patients or sequences; "
    "for a set without any splits (one folder of images, a table without a split column) they are drawn"
)
TOO_FEW = "there are too few images, or groups of images, to draw one; add images, or define the splits"


def open_dataset(
    paths: Sequence[str],
    task: str,
    *,
    cache: Path,
    class_map: Path | ClassMap | None = None,
    version: str = "",
    seed: int = 0,
    classes: Sequence[str] = (),
    image_label: str = TABLE,
) -> Dataset:
    """The data set at `paths`; see `mlops.data.open_dataset`."""
    if task not in get_args(Task):
        raise BadSetting("open_dataset", "task", task, ", ".join(get_args(Task)))
    sources = read_sources(paths, cache, seed=seed, classes=classes)
    for path, source in zip(paths, sources, strict=True):
        refuse_other_task(path, source, task)
        refuse_missing_splits(path, source.splits, drawn=source.made_split)
        raise_errors(source.faults, path)
        refuse_odd_images(images_of(source), cache)
    image_labels: dict[Path, str] = {}
    if task == "joint":
        sources, image_labels = _with_labels_named(sources, paths, image_label)
    mapped = read_class_map(class_map) if isinstance(class_map, Path) else class_map
    names, tables = merged_classes(sources, mapped, classes)
    least = 2 if task == "classification" else 1
    if len(names) < least:
        where = f"{mapped.where} leaves" if mapped is not None else f"{', '.join(paths)} has"
        raise DataFault(f"{where} {len(names)} classes to train on; {task} needs at least {least}")
    identity = Identity(
        name="+".join(source.name for source in sources),
        path=", ".join(map(as_recorded, paths)),
        digest=digest(sources, names, cache, mapped, seed),
        version=version,
        demo=any(read_marker(source.root) is not None for source in sources),
        class_map=mapped.sections if mapped is not None else {},
    )
    boxed = [each for each in sources if isinstance(each, DetectionSource)]
    if boxed:
        pictures = merged_pictures(boxed, tables)
        if task == "joint":
            image_classes, pictures = with_image_classes(pictures, names, image_label, image_labels)
            return DetectionDataset(identity, names, pictures, image_classes)
        return DetectionDataset(identity, names, pictures)
    labelled = [each for each in sources if isinstance(each, ClassificationSource)]
    splits = merged_images(labelled, tables, cache)
    refuse_missing_splits(f"{', '.join(paths)} by {mapped.where if mapped else 'no class map'}", splits)
    return ClassificationDataset(identity, names, splits)


def _with_labels_named(
    sources: Sequence[Source], paths: Sequence[str], rule: str
) -> tuple[list[Source], dict[Path, str]]:
    """The sources with the image label tables added to their files, and the labels by image."""
    labels: dict[Path, str] = {}
    read: list[Source] = []
    for path, source in zip(paths, sources, strict=True):
        if isinstance(source, DetectionSource):
            named = named_labels(source, rule)
            raise_errors(named.faults, path)
            labels.update(named.labels)
            source = replace(source, files=(*source.files, *named.files))
        read.append(source)
    return read, labels


def read_sources(
    paths: Sequence[str], cache: Path, *, seed: int = 0, classes: Sequence[str] = ()
) -> list[Source]:
    """Read each path; paths in an object store are fetched first."""
    return [read() for _, read in named_sources(paths, cache, seed=seed, classes=classes)]


def named_sources(
    paths: Sequence[str], cache: Path, *, seed: int = 0, classes: Sequence[str] = ()
) -> Iterator[tuple[str, Callable[[], Source]]]:
    """Each path with the function that reads it. Sources of the same name get a number."""
    if not paths:
        raise DataFault("no data given; pass a folder or file with --data")
    for path, name in zip(paths, names_of(paths), strict=True):
        yield path, partial(_read, path, cache, name, seed, classes)


def _read(path: str, cache: Path, name: str, seed: int, classes: Sequence[str]) -> Source:
    return read_source(local_path(path, cache), name=name, seed=seed, classes=classes)


def refuse_other_task(path: str, source: Source, task: str) -> None:
    """Raise DataFault if a source does not fit the task."""
    if task == "classification" and isinstance(source, DetectionSource):
        raise DataFault(
            f"{path} has boxes, but a classifier needs one label per image; "
            f"crop the objects with `mlops data convert {path} --to imagefolder --out FOLDER`"
        )
    if task != "classification" and isinstance(source, ClassificationSource):
        raise DataFault(
            f"{path} has one label per image and no boxes; a detector needs boxes (YOLO, VOC or COCO)"
        )


def refuse_missing_splits(path: str, splits: Mapping[SplitName, Sized], *, drawn: bool = False) -> None:
    """Raise DataFault if train or val is missing or empty; a missing test split is allowed.

    drawn: the splits were drawn by seed.
    """
    for split in TRAINED_ON:
        if not len(splits.get(split, ())):
            hint = TOO_FEW if drawn else SPLIT_HINT
            raise DataFault(f"{path} has no images in its {split} split; {hint}")
