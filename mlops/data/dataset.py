"""A data set as readers give it (sources) and as trainers see it, whatever its format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from mlops.data.faults import Fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
Task = Literal["detection", "classification", "joint"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What every run and version records about the data set it was trained on.

    digest: SHA-256 (hex) over the content of every file that training reads.
    version: the name the user gave it (`--data-version v12`), or "".
    demo: made by `mlops data demo`; such runs can never be released.
    class_map: source class to target class by source, if a class map was given; see `mlops.data.class_map`.
    """

    name: str
    path: str
    digest: str
    version: str = ""
    demo: bool = False
    class_map: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Box:
    """One object: centre, width and height as fractions of the image (0..1), and its outline if annotated.

    polygon: x1, y1, x2, y2, ... as fractions, or () where only the box was annotated.
    """

    class_index: int
    x: float
    y: float
    width: float
    height: float
    polygon: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class BoxedImage:
    """One image of a detection set; no boxes means background.

    image_class: index of the whole image's class in `DetectionDataset.image_classes`; -1 if it has none.
    """

    image: Path
    boxes: tuple[Box, ...]
    source: str = ""
    group: str = ""
    image_class: int = -1


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """One split of a classification set: labels (N,) int64 beside N images.

    images: N paths, or one uint8 array (N, H, W, 3), RGB.
    sources: the data set that each image came from, if several were given; else ().
    """

    images: Sequence[Path] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class DetectionDataset:
    """classes: of the boxes. image_classes: of whole images, for the joint task; () for detection."""

    identity: Identity
    classes: tuple[str, ...]
    splits: Mapping[SplitName, tuple[BoxedImage, ...]]
    image_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassificationDataset:
    identity: Identity
    classes: tuple[str, ...]
    splits: Mapping[SplitName, LabelledImages]


Dataset: TypeAlias = DetectionDataset | ClassificationDataset


@dataclass(frozen=True, slots=True)
class DetectionSource:
    """Images with boxes.

    root: the folder that names are relative to in the digest.
    files: every file that training reads, images and labels.
    faults: what is wrong with the labels; rows with errors and boxes without area are omitted.
    sizes: width and height in pixels where the annotations state them, by image.
    made_split: the source has no splits; they were drawn with a seed.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[SplitName, tuple[BoxedImage, ...]]
    files: tuple[Path, ...]
    faults: tuple[Fault, ...] = ()
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    made_split: bool = False


@dataclass(frozen=True, slots=True)
class ClassificationSource:
    """Images with one label each; fields as in `DetectionSource`."""

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[SplitName, LabelledImages]
    files: tuple[Path, ...]
    faults: tuple[Fault, ...] = ()
    made_split: bool = False


Source: TypeAlias = DetectionSource | ClassificationSource


def images_of(source: Source) -> list[Path]:
    """The image files of a source; empty where the images are an array."""
    found: list[Path] = []
    for own in source.splits.values():
        if not isinstance(own, LabelledImages):
            found += [each.image for each in own]
        elif isinstance(own.images, list):
            found += own.images
    return list(dict.fromkeys(found))


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Counts by split and class: annotated objects of a detection set, images of a classification set.

    Every class is listed; the count is 0 if the split has none.
    """
    counts: dict[str, dict[str, int]] = {}
    for split, items in dataset.splits.items():
        if isinstance(items, LabelledImages):
            found = Counter(int(label) for label in items.labels)
        else:
            found = Counter(box.class_index for picture in items for box in picture.boxes)
        counts[split] = {name: found[index] for index, name in enumerate(dataset.classes)}
    return counts
