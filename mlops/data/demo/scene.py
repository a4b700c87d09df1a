"""A demo image with objects, a YOLO folder of such images, and their numbers by split."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from mlops.data.dataset import SPLITS, SplitName
from mlops.data.demo.canvas import Picture, Plane, Points, Rng
from mlops.data.demo.in_processes import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Thing:
    """One object. outline: (K, 2) x and y in pixels; two points are the opposite corners of a box."""

    class_index: int
    outline: Points


@dataclass(frozen=True, slots=True)
class DemoScene:
    """label: the class of the whole image, "" if the system has none."""

    picture: Picture
    things: tuple[Thing, ...]
    label: str = ""


Draw: TypeAlias = Callable[[Rng, int], DemoScene]
"""Draws one scene from a random generator and the side in pixels."""


def box_of(mask: Plane) -> Points:
    """Corners, (2, 2) pixels, of the box around the clearly visible part of `mask`."""
    rows, columns = np.nonzero(mask > 0.3)
    return np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=np.float64)


def yolo_row(thing: Thing, side: int) -> str:
    """`class x y w h` for a box, `class x1 y1 x2 y2 ...` for an outline, as fractions of the side."""
    points = np.clip(thing.outline / side, 0, 1)
    if len(points) == 2:
        low, high = points
        numbers = [*((low + high) / 2), *(high - low)]
    else:
        numbers = points.ravel().tolist()
    return " ".join([str(thing.class_index), *(f"{n:.6f}" for n in numbers)])


def write_yolo(folder: Path, plan: DemoPlan, classes: tuple[str, ...], draw: Draw) -> dict[str, str]:
    """Write `images/<split>`, `labels/<split>` and `data.yaml`; an image without objects has an empty file.

    Returns each image's path in the folder and its image label, "" if the scene has none.
    """
    image_labels: dict[str, str] = {}
    for split in plan.splits:
        image_labels |= _write_split(folder, split, plan.side, draw)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(classes))
    splits = "".join(f"{split.name}: images/{split.name}\n" for split in plan.splits)
    (folder / "data.yaml").write_text(f"{splits}nc: {len(classes)}\nnames:\n{names}", encoding="utf-8")
    return image_labels


def _write_split(folder: Path, split: SplitPlan, side: int, draw: Draw) -> dict[str, str]:
    for kind in ("images", "labels"):
        (folder / kind / split.name).mkdir(parents=True)
    return dict(drawn(partial(_write_scene, folder, split, side, draw), split.pictures))


def _write_scene(folder: Path, split: SplitPlan, side: int, draw: Draw, number: int) -> tuple[str, str]:
    scene = draw(split.rng(number), side)
    image = f"images/{split.name}/{split.name}_{number:04d}.png"
    Image.fromarray(scene.picture).save(folder / image, compress_level=4)
    rows = "".join(f"{yolo_row(thing, side)}\n" for thing in scene.things)
    (folder / "labels" / split.name / f"{split.name}_{number:04d}.txt").write_text(rows, encoding="utf-8")
    return image, scene.label


@dataclass(frozen=True, slots=True)
class SplitPlan:
    name: SplitName
    pictures: int
    root: tuple[int, ...]

    def rng(self, picture: int | None = None) -> np.random.Generator:
        """The random generator of the split, or of one of its images; independent of all others."""
        return np.random.default_rng([*self.root, 0 if picture is None else picture + 1])


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """side: of every image, in pixels."""

    side: int
    splits: tuple[SplitPlan, ...]


def make_plan(system: str, seed: int, side: int, pictures: Mapping[SplitName, int]) -> DemoPlan:
    root = (seed, zlib.crc32(system.encode()))
    return DemoPlan(side, tuple(SplitPlan(name, pictures[name], (*root, i)) for i, name in enumerate(SPLITS)))
