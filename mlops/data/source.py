"""What a reader finds at one path, before sources are merged into the data set that is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from mlops.data.dataset import LabelledImages, LabelledPicture, SplitName
from mlops.data.faults import Fault


@dataclass(frozen=True, slots=True)
class DetectionSource:
    """Pictures with boxes.

    root: the folder that names are relative to in the digest.
    files: every file that training reads, pictures and labels.
    faults: what was wrong with the labels; rows that are errors, and boxes without area, are left out.
    sizes: width and height in pixels where the annotations state them, by picture.
    made_split: the source had no splits, and they were drawn from it with a seed.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[SplitName, tuple[LabelledPicture, ...]]
    files: tuple[Path, ...]
    faults: tuple[Fault, ...] = ()
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    made_split: bool = False


@dataclass(frozen=True, slots=True)
class ClassificationSource:
    """Pictures with one label each; fields as in `DetectionSource`."""

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[SplitName, LabelledImages]
    files: tuple[Path, ...]
    faults: tuple[Fault, ...] = ()
    made_split: bool = False


Source: TypeAlias = DetectionSource | ClassificationSource
