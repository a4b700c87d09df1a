"""A set of boxes with a class for each picture, and a recipe, so small that an epoch takes a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mlops.data.dataset import Box, BoxedImage, DetectionDataset, Identity, SplitName
from mlops.systems.recipe import JointRecipe
from mlops.training.protocol import TrainConfig

SIDE = 64
BOXES = ("square",)
PICTURES = ("cold", "warm")
SKY = ((60, 80, 170), (170, 90, 60))

TINY: Mapping[str, Any] = {
    "model": "yolov5n",
    "weights": "none",
    "image_size": SIDE,
    "batch": 8,
    "nbs": 8,
    "epochs": 2,
    "patience": 0,
    "workers": 0,
    "amp": False,
    "optimizer": "AdamW",
    "lr0": 0.003,
    "lrf": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "warmup_epochs": 0,
    "head_width": 32,
}


def tiny_recipe(**changed: object) -> JointRecipe:
    return JointRecipe(**{**TINY, **changed})


def tiny_dataset(folder: Path, pictures: Mapping[SplitName, int] | None = None) -> DetectionDataset:
    """Noise that is cold or warm, half of it with one white square. Same bytes each time."""
    rng = np.random.default_rng(5)
    splits = {
        split: tuple(_picture(folder / split / f"{i:03d}.png", rng, i) for i in range(count))
        for split, count in (pictures or {"train": 16, "val": 8, "test": 8}).items()
    }
    return DetectionDataset(Identity("tiny", str(folder), f"digest-{folder.name}"), BOXES, splits, PICTURES)


def _picture(file: Path, rng: np.random.Generator, number: int) -> BoxedImage:
    warm = int(rng.integers(2))
    noise = rng.integers(-25, 25, (SIDE, SIDE, 3)) + np.asarray(SKY[warm])
    boxes: tuple[Box, ...] = ()
    if number % 2 == 0:
        left, top = (int(each) for each in rng.integers(0, SIDE - 22, 2))
        noise[top : top + 22, left : left + 22] = 240
        boxes = (Box(0, (left + 11) / SIDE, (top + 11) / SIDE, 22 / SIDE, 22 / SIDE),)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.astype(np.uint8)).save(file)
    return BoxedImage(file, boxes, source="tiny", image_class=warm)


def tiny_config(
    tmp_path: Path, dataset: DetectionDataset, name: str = "trial", **recipe: object
) -> TrainConfig[JointRecipe]:
    return TrainConfig(
        recipe=tiny_recipe(**recipe),
        dataset=dataset,
        out_dir=tmp_path / name,
        device="cpu",
        progress=False,
        cache=tmp_path / "cache",
    )


def with_classes_drawn_anew(dataset: DetectionDataset) -> DetectionDataset:
    """The same pictures and boxes, every class the other one."""
    splits = {
        split: tuple(replace(each, image_class=1 - each.image_class) for each in pictures)
        for split, pictures in dataset.splits.items()
    }
    return replace(dataset, splits=splits)
