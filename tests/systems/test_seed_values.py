"""What the five reports state is what the recipes hold; what they wish for is searched or has a variant."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mlops.systems import configure, list_systems, load_system
from mlops.systems.space import Choice

STATED: Mapping[str, Mapping[str, object]] = {
    "oct-detector": {
        "model": "yolo26m",
        "weights": "yolo26m.pt",
        "image_size": 768,
        "batch": 24,
        "epochs": 300,
        "patience": 30,
        "optimizer": "SGD",
        "lr0": 0.002,
        "lrf": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "warmup_epochs": 5.0,
        "box": 7.5,
        "cls": 0.5,
        "dfl": 1.5,
        "mosaic": 0.2,
        "mixup": 0.1,
        "copy_paste": 0.3,
        "degrees": 0.0,
        "flipud": 0.0,
        "fliplr": 0.5,
        "scale": 0.5,
        "save_period": 10,
    },
    "railway-detector": {
        "model": "yolo11n",
        "weights": "yolo11n.pt",
        "batch": 16,
        "epochs": 100,
        "workers": 8,
        "amp": True,
        "lr0": 0.01,
        "lrf": 0.01,
        "cos_lr": True,
        "warmup_epochs": 3.0,
        "freeze_layers": 10,
        "freeze_epochs": 3,
    },
    "xray-detector": {
        "image_size": 416,
        "batch": 16,
        "epochs": 100,
        "lr0": 0.0001,
        "degrees": 10.0,
        "flipud": 0.5,
        "fliplr": 0.5,
        "brightness": 0.2,
        "contrast": 0.2,
    },
    "blood-cell-classifier": {
        "model": "tf_efficientnet_lite0",
        "weights": "imagenet",
        "batch": 32,
        "accumulate": 2,
        "epochs": 50,
        "patience": 10,
        "amp": True,
        "optimizer": "adamw",
        "lr": 0.0001,
        "weight_decay": 0.0001,
        "schedule": "cosine",
        "freeze_epochs": 4,
        "class_weights": "none",
    },
    "joint-detector": {
        "model": "yolov5s",
        "epochs": 50,
        "patience": 0,
        "augment": False,
        "classify": True,
        "backbones": "shared",
        "balance": "gradnorm",
        "gradnorm_alpha": 1.5,
    },
}


def test_the_five_systems_come_with_the_product() -> None:
    assert set(list_systems()) == set(STATED)


@pytest.mark.parametrize("system", STATED)
def test_a_recipe_holds_what_its_report_states(system: str) -> None:
    recipe = load_system(system).recipe.model_dump()
    assert {key: recipe[key] for key in STATED[system]} == STATED[system]


def test_blood_cells_are_trained_with_clipped_gradients_and_dropout() -> None:
    recipe = load_system("blood-cell-classifier").recipe.model_dump()
    assert recipe["clip_norm"] > 0
    assert recipe["dropout"] > 0


@pytest.mark.parametrize(
    ("system", "variant", "values"),
    [
        ("oct-detector", "yolo26s", {"model": "yolo26s", "image_size": 640, "batch": 36, "epochs": 43}),
        ("oct-detector", "yolov9", {"model": "yolov9m", "weights": "yolov9m.pt", "image_size": 768}),
        ("railway-detector", "yolo11s", {"model": "yolo11s", "weights": "yolo11s.pt", "epochs": 100}),
        ("xray-detector", "batch32", {"batch": 32}),
        ("blood-cell-classifier", "balanced", {"class_weights": "balanced"}),
        ("blood-cell-classifier", "balanced-sampling", {"sampler": "balanced"}),
        ("joint-detector", "two-backbones", {"backbones": "independent"}),
    ],
)
def test_the_other_networks_of_a_report_are_variants(
    system: str, variant: str, values: Mapping[str, object]
) -> None:
    recipe = configure(load_system(system), [f"variant={variant}"]).recipe.model_dump()
    assert {key: recipe[key] for key in values} == values


def test_oct_searches_musgd() -> None:
    optimizer = load_system("oct-detector").space["optimizer"]
    assert isinstance(optimizer, Choice)
    assert {"SGD", "MuSGD"} <= set(optimizer.values)


def test_railway_searches_class_weights_augmentation_batch_workers_and_image_size() -> None:
    wished = {"cls_pw", "mosaic", "mixup", "scale", "degrees", "hsv_v", "batch", "workers", "image_size"}
    assert wished <= set(load_system("railway-detector").space)


@pytest.mark.parametrize("system", STATED)
def test_every_system_searches_batch_and_image_size(system: str) -> None:
    assert {"batch", "image_size"} <= set(load_system(system).space)
