"""`cache=ram` keeps a detector's decoded pictures in memory, and changes nothing else of the training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlops.training.detection.fitting import image_cache
from mlops.training.detection.ultralytics_library import settle
from mlops.training.training_record import identity_of
from tests.training.detection_case import tiny_config, tiny_dataset


@pytest.mark.parametrize(("setting", "kept"), [("ram", True), ("none", False)])
def test_pictures_are_kept_in_memory_where_it_is_asked_for(tmp_path: Path, setting: str, kept: bool) -> None:
    config = tiny_config(tmp_path, tiny_dataset(tmp_path / "data"), cache=setting)
    settle(tmp_path / "cache")
    from ultralytics.data import YOLODataset
    from ultralytics.utils import DEFAULT_CFG, IterableSimpleNamespace

    from mlops.data.ultralytics_view import yolo_view

    view = yolo_view(config.dataset, tmp_path / "cache")  # type: ignore[arg-type]
    cache = image_cache(config.recipe, config.dataset)  # type: ignore[arg-type]
    dataset = YOLODataset(
        img_path=str(view / "images" / "train"),
        data={"names": {0: "a", 1: "b", 2: "c", 3: "d"}, "channels": 3},
        hyp=IterableSimpleNamespace(**{**vars(DEFAULT_CFG), "imgsz": 64}),
        imgsz=64,
        cache=cache,
        augment=False,
    )
    assert all((picture is not None) == kept for picture in dataset.ims)


def test_a_training_goes_on_with_another_setting(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, tiny_dataset(tmp_path / "data"))
    other = replace(config, recipe=config.recipe.model_copy(update={"cache": "ram"}))
    assert identity_of(other) == identity_of(config)
    assert image_cache(other.recipe, other.dataset) == "ram"  # type: ignore[arg-type]


def test_images_that_do_not_fit_into_the_memory_that_is_left_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path, tiny_dataset(tmp_path / "data"), cache="ram")
    monkeypatch.setattr("mlops.training.detection.fitting.available_bytes", lambda: 100_000)
    assert image_cache(config.recipe, config.dataset) is False  # type: ignore[arg-type]
    assert "cache=ram is not used" in capfd.readouterr().err
