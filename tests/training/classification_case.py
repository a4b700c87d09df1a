"""A classification set and a recipe small enough that an epoch takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlops.data.dataset import ClassificationDataset, Identity, LabelledImages, SplitName
from mlops.systems.recipe import ClassificationRecipe
from mlops.training.protocol import EpochReport, TrainConfig, Verdict

SIDE = 32
CLASSES = ("disc", "bar", "checks")
COUNTS: Mapping[SplitName, int] = {"train": 48, "val": 18, "test": 18}

TINY: Mapping[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": SIDE,
    "batch": 8,
    "epochs": 2,
    "patience": 0,
    "workers": 0,
    "amp": False,
    "optimizer": "adamw",
    "lr": 0.003,
    "weight_decay": 0.0001,
    "schedule": "constant",
    "accumulate": 1,
    "clip_norm": 0.0,
    "freeze_epochs": 0,
    "hflip": 0.0,
    "vflip": 0.0,
}


def tiny_recipe(**changed: object) -> ClassificationRecipe:
    return ClassificationRecipe(**{**TINY, **changed})


def tiny_dataset(counts: Mapping[SplitName, int] = COUNTS, side: int = SIDE) -> ClassificationDataset:
    """Noisy pictures of a disc, a bar or a chessboard in changing colours. Same bytes each time."""
    rng = np.random.default_rng(5)
    splits: dict[SplitName, LabelledImages] = {}
    for name, count in counts.items():
        labels = np.arange(count, dtype=np.int64) % len(CLASSES)
        splits[name] = LabelledImages(np.stack([_picture(rng, int(label), side) for label in labels]), labels)
    digest = f"tiny-{side}-" + "-".join(str(count) for count in counts.values())
    return ClassificationDataset(Identity("tiny", "memory", digest), CLASSES, splits)


def _picture(rng: np.random.Generator, label: int, side: int) -> NDArray[np.uint8]:
    canvas = rng.integers(80, 150, (side, side, 3)).astype(np.uint8)
    y, x = np.mgrid[:side, :side]
    shape = (
        (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 4) ** 2,
        abs(y - rng.integers(side // 3, 2 * side // 3)) < side / 10,
        (x // (side // 8) + y // (side // 8)) % 2 == 0,
    )[label]
    canvas[shape] = rng.integers(150, 255, 3)
    return canvas


def as_files(dataset: ClassificationDataset, folder: Path) -> ClassificationDataset:
    """The same pictures as PNG files in `folder`."""
    splits: dict[SplitName, LabelledImages] = {}
    for name, items in dataset.splits.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        files = [folder / name / f"{i:03d}.png" for i in range(len(items))]
        for file, picture in zip(files, items.images, strict=True):
            Image.fromarray(np.asarray(picture)).save(file)
        splits[name] = replace(items, images=files)
    identity = replace(dataset.identity, path=str(folder), digest=f"files-{dataset.identity.digest}")
    return ClassificationDataset(identity, dataset.classes, splits)


def tiny_config(
    folder: Path, dataset: ClassificationDataset | None = None, name: str = "trial", **recipe: object
) -> TrainConfig[ClassificationRecipe]:
    return TrainConfig(
        recipe=tiny_recipe(**recipe),
        dataset=dataset if dataset is not None else tiny_dataset(),
        out_dir=folder / name,
        device="cpu",
        progress=False,
        cache=folder / "cache",
    )


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without the drawings, which take longer than a tiny training."""

    from mlops.training.classification import held_out

    monkeypatch.setattr(held_out, "draw_training", lambda *given: given[-1].mkdir(exist_ok=True))


class Reports(list[EpochReport]):
    """A callback that keeps every report and may say stop after one of them."""

    def __init__(self, stop_after: int = 0) -> None:
        super().__init__()
        self._stop_after = stop_after

    def __call__(self, report: EpochReport) -> Verdict:
        self.append(report)
        return Verdict.STOP if report.epoch == self._stop_after else Verdict.CONTINUE
