"""What a detector's recipe names acts: freezing, accumulation, class weights, brightness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.data.dataset import DetectionDataset
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.ultralytics_library import settle
from tests.training.detection_case import Reports, draw_nothing, tiny_config, tiny_dataset

FROZEN = tuple(f"model.{layer}." for layer in range(4))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return tiny_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def undrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(tmp_path / "cache")
    draw_nothing(monkeypatch)


@pytest.fixture
def before_each_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], None]], None]:
    """Have a function look at the training each time that its optimizer is about to step."""
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    def watch(look: Callable[[Any], None]) -> None:
        step = RecipeLoop.optimizer_step
        monkeypatch.setattr(RecipeLoop, "optimizer_step", lambda loop: (look(loop), step(loop)))

    return watch


def statistics_of(loop: Any, frozen: bool) -> torch.Tensor:
    """Running means of the batch norms among the first layers, or of all others, as one vector."""
    return torch.cat(
        [
            buffer.flatten().clone()
            for name, buffer in loop.model.named_buffers()
            if name.endswith("running_mean") and name.startswith(FROZEN) == frozen
        ]
    )


@pytest.mark.parametrize(("freeze_epochs", "released"), [(2, [False, False, True, True]), (0, [False] * 4)])
def test_frozen_layers_get_no_gradient_and_no_statistics_until_they_are_released(
    tmp_path: Path,
    dataset: DetectionDataset,
    before_each_step: Callable[[Callable[[Any], None]], None],
    freeze_epochs: int,
    released: list[bool],
) -> None:
    first_layers, other_layers, statistics, others = [], [], [], []

    def look(loop: Any) -> None:
        moved = {name: p.grad is not None for name, p in loop.model.named_parameters() if ".dfl" not in name}
        first_layers.append({has for name, has in moved.items() if name.startswith(FROZEN)})
        other_layers.append({has for name, has in moved.items() if not name.startswith(FROZEN)})
        statistics.append(statistics_of(loop, frozen=True))
        others.append(statistics_of(loop, frozen=False))

    before_each_step(look)
    config = tiny_config(
        tmp_path, dataset, epochs=4, batch=16, nbs=16, freeze_layers=4, freeze_epochs=freeze_epochs
    )
    DetectionTrainer().fit(config, Reports())
    assert first_layers == [{has} for has in released]
    assert other_layers == [{True}] * 4
    moved = [not torch.equal(before, after) for before, after in pairwise(statistics)]
    assert moved == released[1:]
    assert not torch.equal(others[0], others[1])


@pytest.mark.parametrize("model", ["yolo11n", "yolo26n"])
def test_class_weights_change_the_loss_where_classes_are_unequal(
    tmp_path: Path, dataset: DetectionDataset, model: str
) -> None:
    fewer_bars = tuple(
        replace(picture, boxes=picture.boxes[: 1 if i else 2])
        for i, picture in enumerate(dataset.splits["train"])
    )
    unequal = replace(dataset, splits={**dataset.splits, "train": fewer_bars})
    plain, weighted = (
        _first_losses(tmp_path, unequal, f"pw{power}", model=model, cls_pw=power) for power in (0.0, 1.0)
    )
    assert weighted["train/cls_loss"] != pytest.approx(plain["train/cls_loss"], rel=0.01)
    assert weighted["train/box_loss"] == pytest.approx(plain["train/box_loss"], rel=1e-4)


def test_class_weights_change_nothing_where_classes_are_equal(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    plain, weighted = (_first_losses(tmp_path, dataset, f"pw{power}", cls_pw=power) for power in (0.0, 1.0))
    assert weighted["train/cls_loss"] == pytest.approx(plain["train/cls_loss"], rel=1e-4)


def test_brightness_and_contrast_change_what_is_trained_on(tmp_path: Path, dataset: DetectionDataset) -> None:
    plain, changed = (
        _first_losses(tmp_path, dataset, f"light{x}", brightness=x, contrast=x) for x in (0.0, 0.5)
    )
    assert changed["train/cls_loss"] != pytest.approx(plain["train/cls_loss"], rel=1e-5)


def _first_losses(tmp_path: Path, dataset: DetectionDataset, name: str, **recipe: Any) -> dict[str, float]:
    """Of one batch, before the first step."""
    reports = Reports()
    config = tiny_config(tmp_path, dataset, name, epochs=1, batch=16, nbs=16, **recipe)
    DetectionTrainer().fit(config, reports)
    return dict(reports[0].metrics)
