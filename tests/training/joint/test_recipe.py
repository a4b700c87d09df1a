"""What a joint recipe is trained as, and what is refused before anything starts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mlops.errors import BadSetting
from mlops.systems import configure, load_system
from mlops.systems.recipe import JointRecipe
from mlops.training.joint import JointTrainer
from mlops.training.joint.joint_recipe import as_detection, balance_settings, tasks_of
from tests.training.joint.case import tiny_recipe

CHANGES = ("mosaic", "mixup", "copy_paste", "degrees", "scale", "flipud", "fliplr", "hsv_h", "hsv_v")


def test_the_seeds_recipe_changes_no_picture_and_never_stops_early() -> None:
    recipe = load_system("joint-detector").recipe
    assert isinstance(recipe, JointRecipe)
    told = as_detection(recipe)
    assert [getattr(told, name) for name in CHANGES] == [0.0] * len(CHANGES)
    assert (told.patience, told.epochs, told.model) == (0, 50, "yolov5s")
    assert balance_settings(recipe, 4).alpha == 1.5


def test_augmentation_never_puts_pictures_together() -> None:
    told = as_detection(tiny_recipe(augment=True))
    assert told.fliplr > 0 and told.scale > 0
    assert told.mosaic == told.mixup == told.copy_paste == 0


def test_the_classification_starts_from_the_loss_of_a_guess() -> None:
    settings = balance_settings(tiny_recipe(), 4)
    assert settings.initial == {"classification": pytest.approx(math.log(4))}
    assert settings.method == "gradnorm"


def test_every_setting_of_gradnorm_reaches_the_balance() -> None:
    settings = [
        *("gradnorm_alpha=0.5", "gradnorm_lr=0.1", "gradnorm_log=true", "gradnorm_floor=0.2"),
        *("gradnorm_initial_steps=8", "balance_every=3", "detection_weight=1.5"),
    ]
    recipe = configure(load_system("joint-detector"), settings).recipe
    assert isinstance(recipe, JointRecipe)
    told = balance_settings(recipe, 2)
    assert (told.alpha, told.lr, told.logarithmic, told.floor) == (0.5, 0.1, True, 0.2)
    assert (told.initial_steps, told.every, told.weights["detection"]) == (8, 3, 1.5)


@pytest.mark.parametrize(
    ("variant", "tasks"),
    [("detection-only", ("detection",)), ("classification-only", ("classification",))],
)
def test_a_single_task_is_trained_with_a_weight_of_one(variant: str, tasks: tuple[str, ...]) -> None:
    recipe = configure(load_system("joint-detector"), [f"variant={variant}"]).recipe
    assert isinstance(recipe, JointRecipe)
    assert tasks_of(recipe) == tasks
    settings = balance_settings(recipe, 2)
    assert (settings.method, settings.every, dict(settings.weights)) == ("fixed", 0, {})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"detect": False, "classify": False}, "at least one of them true"),
        ({"backbones": "independent"}, "have no shared layer"),
        ({"balance_every": 0}, "balance_every is 0"),
        ({"balance": "upgrad", "balance_every": 0}, "1 or more with balance=upgrad"),
        ({"model": "resnet18"}, "a detector of Ultralytics"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    tmp_path: Path, changed: dict[str, object], says: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        JointTrainer().check(tiny_recipe(**changed), device="cpu", cache=tmp_path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_rule_that_is_none_is_refused_where_it_is_set() -> None:
    with pytest.raises(BadSetting, match=r"image_label is 'presence'.*present:CLASS"):
        configure(load_system("joint-detector"), ["image_label=presence"])
