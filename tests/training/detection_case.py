"""A detection set and a recipe small enough that an epoch takes a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlops.data.dataset import Box, BoxedImage, DetectionDataset, Identity, SplitName
from mlops.systems.recipe import DetectionRecipe
from mlops.training.protocol import EpochReport, TrainConfig, Verdict

SIDE = 64
CLASSES = ("square", "bar")
COLOURS = ((230, 60, 40), (40, 90, 230))

TINY: Mapping[str, Any] = {
    "model": "yolo11n",
    "weights": "none",
    "image_size": SIDE,
    "batch": 8,
    "epochs": 2,
    "patience": 0,
    "workers": 0,
    "amp": False,
    "optimizer": "SGD",
    "lr0": 0.01,
    "lrf": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "warmup_epochs": 0,
    "box": 7.5,
    "cls": 0.5,
    "dfl": 1.5,
    "mosaic": 0.0,
    "close_mosaic": 0,
    "mixup": 0.0,
    "copy_paste": 0.0,
    "degrees": 0.0,
    "translate": 0.0,
    "scale": 0.0,
    "flipud": 0.0,
    "fliplr": 0.0,
    "hsv_h": 0.0,
    "hsv_s": 0.0,
    "hsv_v": 0.0,
}


def tiny_recipe(**changed: object) -> DetectionRecipe:
    return DetectionRecipe(**{**TINY, **changed})


def tiny_dataset(
    folder: Path,
    pictures: Mapping[SplitName, int] | None = None,
    classes: tuple[str, ...] = CLASSES,
    polygons: bool = False,
) -> DetectionDataset:
    """Noise with one coloured square and one bar on each picture. Same bytes each time."""
    rng = np.random.default_rng(3)
    splits = {
        split: tuple(_picture(folder / split / f"{i:03d}.png", rng, polygons) for i in range(count))
        for split, count in (pictures or {"train": 16, "val": 8, "test": 8}).items()
    }
    return DetectionDataset(
        Identity("tiny", str(folder), f"digest-{folder.name}-{polygons}"), classes, splits
    )


def _picture(file: Path, rng: np.random.Generator, polygons: bool) -> BoxedImage:
    canvas = rng.integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8)
    boxes = []
    for index, (width, height) in enumerate(((22, 22), (32, 14))):
        left = int(rng.integers(0, SIDE - width))
        top = int(rng.integers(0, SIDE // 2 - height)) + index * SIDE // 2
        canvas[top : top + height, left : left + width] = COLOURS[index]
        right, bottom = left + width, top + height
        outline = tuple(v / SIDE for v in (left, top, right, top, right, bottom, left, bottom))
        boxes.append(
            Box(
                index,
                (left + right) / 2 / SIDE,
                (top + bottom) / 2 / SIDE,
                width / SIDE,
                height / SIDE,
                outline if polygons else (),
            )
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).save(file)
    return BoxedImage(file, tuple(boxes))


def tiny_config(
    tmp_path: Path, dataset: DetectionDataset, name: str = "trial", **recipe: object
) -> TrainConfig[DetectionRecipe]:
    return TrainConfig(
        recipe=tiny_recipe(**recipe),
        dataset=dataset,
        out_dir=tmp_path / name,
        device="cpu",
        progress=False,
        cache=tmp_path / "cache",
    )


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without the library's pictures, which take longer than a tiny training."""
    from ultralytics.utils import DEFAULT_CFG_DICT

    monkeypatch.setitem(DEFAULT_CFG_DICT, "plots", False)


class Reports(list[EpochReport]):
    """A callback that keeps every report and may say stop after one of them."""

    def __init__(self, stop_after: int = 0) -> None:
        super().__init__()
        self._stop_after = stop_after

    def __call__(self, report: EpochReport) -> Verdict:
        self.append(report)
        return Verdict.STOP if report.epoch == self._stop_after else Verdict.CONTINUE
