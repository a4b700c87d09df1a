"""Read class folders: train/<class>/*.jpg, or <class>/*.jpg, for which splits are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops.data.dataset import SPLITS, ClassificationSource, LabelledImages, SplitName
from mlops.data.faults import Fault, fault
from mlops.data.readers.layout import folder_of_split, pictures_in, subfolders
from mlops.data.splits import draw_splits
from mlops.errors import DataFault


def read(path: Path, name: str, seed: int = 0) -> ClassificationSource:
    """Read a folder of split folders, else of class folders. The classes are the sorted folder names.

    Raises DataFault if there are no images in class folders.
    """
    root = path.resolve()
    folders = {split: found for split in SPLITS if (found := folder_of_split(root, split)) is not None}
    if "train" in folders:
        return _with_splits(root, name, folders)
    return _without_splits(root, name, seed)


def _with_splits(root: Path, name: str, folders: Mapping[SplitName, Path]) -> ClassificationSource:
    classes = tuple(sorted({each.name for folder in folders.values() for each in subfolders(folder)}))
    if not classes:
        raise DataFault(
            f"{root}: no class folders in {folders['train'].name}/; expected train/<class>/<image>"
        )
    faults: list[Fault] = []
    splits: dict[SplitName, LabelledImages] = {}
    for split, folder in folders.items():
        found = [
            (picture, index) for index, each in enumerate(classes) for picture in pictures_in(folder / each)
        ]
        splits[split] = labelled(found)
        faults.extend(
            fault("missing-label", stray, f"is not in a class folder of {split} and is omitted")
            for stray in pictures_in(folder, deep=False)
        )
        if not found:
            faults.append(fault("empty-split", folder, f"no images in the {split} split"))
    files = tuple(each for split in splits.values() for each in paths(split))
    return ClassificationSource(name, root, classes, splits, files, tuple(faults))


def _without_splits(root: Path, name: str, seed: int) -> ClassificationSource:
    pictures = {each.name: pictures_in(each) for each in subfolders(root)}
    classes = tuple(each for each in sorted(pictures) if pictures[each])
    found = [(picture, index) for index, each in enumerate(classes) for picture in pictures[each]]
    if len(classes) < 2:
        raise DataFault(f"{root}: {len(classes)} class folders with images; a classifier needs at least two")
    made = fault("made-split", root, "no splits; train, val and test are drawn from all images by seed")
    return ClassificationSource(
        name=name,
        root=root,
        classes=classes,
        splits=drawn(found, [str(picture.relative_to(root)) for picture, _ in found], seed),
        files=tuple(picture for picture, _ in found),
        faults=(made,),
        made_split=True,
    )


def labelled(found: Sequence[tuple[Path, int]]) -> LabelledImages:
    """Images and class numbers as one split."""
    import numpy as np

    return LabelledImages(
        [picture for picture, _ in found], np.array([label for _, label in found], dtype=np.int64)
    )


def drawn(
    found: Sequence[tuple[Path, int]], groups: Sequence[str], seed: int
) -> dict[SplitName, LabelledImages]:
    """Splits drawn from images by group, stratified by class."""
    given = draw_splits(groups, [str(label) for _, label in found], seed=seed)
    return {
        split: labelled([each for each, its in zip(found, given, strict=True) if its == split])
        for split in SPLITS
    }


def paths(images: LabelledImages) -> list[Path]:
    """The images' files; empty if the images are an array."""
    return (
        [each for each in images.images if isinstance(each, Path)] if isinstance(images.images, list) else []
    )
