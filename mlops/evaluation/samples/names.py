"""What a picture is called in the per-sample tables: the same in training's test and in every evaluation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops.data.dataset import DetectionDataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlops.data.dataset import Dataset, SplitName


def picture_names(dataset: Dataset, split: SplitName) -> tuple[str, ...]:
    """One name for each picture of the split, in order.

    A detector's pictures are named below the folder that all splits share, a classifier's below the one that
    the split's pictures share, or by their index in an array.
    """
    if isinstance(dataset, DetectionDataset):
        top = shared_folder(dataset)
        images = [picture.image.absolute() for picture in dataset.splits.get(split, ())]
        return tuple(below(image, top) for image in images)
    return image_names(dataset.splits[split].images) if split in dataset.splits else ()


def shared_folder(dataset: DetectionDataset) -> Path:
    """The folder that all pictures of the data set lie below."""
    pictures = [picture.image.absolute() for split in dataset.splits.values() for picture in split]
    return Path(os.path.commonpath([picture.parent for picture in pictures]))


def below(image: Path, top: Path) -> str:
    return image.relative_to(top).as_posix() if image.is_relative_to(top) else image.name


def image_names(images: Sequence[Path] | NDArray[np.uint8]) -> tuple[str, ...]:
    """As `picture_names`, of a classifier's pictures."""
    if isinstance(images, np.ndarray):
        return tuple(str(index) for index in range(len(images)))
    if not len(images):
        return ()
    top = Path(os.path.commonpath([image.parent for image in images]))
    return tuple(below(image, top) for image in images)
