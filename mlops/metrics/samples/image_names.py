"""The name of an image in per-sample tables, and whether two tables have the same images."""

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
    from mlops.metrics.samples.matching import Detections


def picture_names(dataset: Dataset, split: SplitName) -> tuple[str, ...]:
    """The name of each image of the split, in order.

    Names are paths relative to the common folder of all splits for a detector, of the split for a classifier,
    or indices in an array.
    """
    if isinstance(dataset, DetectionDataset):
        top = shared_folder(dataset)
        images = [picture.image.absolute() for picture in dataset.splits.get(split, ())]
        return tuple(below(image, top) for image in images)
    return image_names(dataset.splits[split].images) if split in dataset.splits else ()


def shared_folder(dataset: DetectionDataset) -> Path:
    """The common folder of all images of the data set."""
    pictures = [picture.image.absolute() for split in dataset.splits.values() for picture in split]
    return Path(os.path.commonpath([picture.parent for picture in pictures]))


def below(image: Path, top: Path) -> str:
    return image.relative_to(top).as_posix() if image.is_relative_to(top) else image.name


def image_names(images: Sequence[Path] | NDArray[np.uint8]) -> tuple[str, ...]:
    """As `picture_names`, for a classifier's images."""
    if isinstance(images, np.ndarray):
        return tuple(str(index) for index in range(len(images)))
    if not len(images):
        return ()
    top = Path(os.path.commonpath([image.parent for image in images]))
    return tuple(below(image, top) for image in images)


_PIXELS = 0.5  # scaling corners to the model's size and back changes them by less


def common_folder(names: NDArray[np.str_]) -> str:
    """The common folder of these images; "" if there is none.

    >>> common_folder(np.array(["test/a/1.jpg", "test/b/1.jpg"]))
    'test'
    """
    folders = sorted({name.rpartition("/")[0] for name in names.tolist()})
    return os.path.commonpath(folders) if folders and folders[0] else ""


def from_folder_on(names: NDArray[np.str_], folder: str) -> NDArray[np.str_]:
    """Names relative to `folder`; names outside it are unchanged.

    >>> from_folder_on(np.array(["test/a/1.jpg", "val/2.jpg"]), "test").tolist()
    ['a/1.jpg', 'val/2.jpg']
    """
    if not folder:
        return names
    return np.array([name.removeprefix(f"{folder}/") for name in names.tolist()], dtype=str)


def same_truths(first: Detections, second: Detections) -> bool:
    """Whether the annotated boxes are the same: number per image and class, and positions.

    An image that is missing in a table has no boxes there. Both share one list of images.
    """
    classes = 1 + int(max(first.truth_class.max(initial=0), second.truth_class.max(initial=0)))
    (cells, counts, sums), (others, other_counts, other_sums) = (
        _cells(boxes, classes) for boxes in (first, second)
    )
    if not np.array_equal(cells, others) or not np.array_equal(counts, other_counts):
        return False
    return bool((np.abs(sums - other_sums) <= _PIXELS * counts[:, None]).all())


def _cells(
    boxes: Detections, classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """For each image and class with objects: its index, number of objects, and sums of their corners."""
    cell = boxes.truth_picture * classes + boxes.truth_class
    cells, place, counts = np.unique(cell, return_inverse=True, return_counts=True)
    sides = [np.bincount(place, boxes.truth_box[:, side], minlength=len(cells)) for side in range(4)]
    sums: NDArray[np.float64] = np.stack(sides, axis=1).astype(np.float64)
    return cells, counts.astype(np.int64), sums
