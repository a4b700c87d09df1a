"""Convert a joint recipe to the settings of each part of the training. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlops.errors import BadSetting
from mlops.systems.recipe import DetectionRecipe
from mlops.training.balance.settings import BalanceSettings

if TYPE_CHECKING:
    from mlops.systems.recipe import JointRecipe

DETECTION, CLASSIFICATION = TASKS = ("detection", "classification")
_PLAIN = {"mosaic", "mixup", "copy_paste", "degrees", "translate", "scale", "flipud", "fliplr"}
_COLOURS = {"hsv_h", "hsv_s", "hsv_v"}
# only moved and mirrored: mosaic and mixup combine images, so the result has no single class
_AUGMENTED = {"translate": 0.1, "scale": 0.2, "fliplr": 0.5, "hsv_h": 0.015, "hsv_s": 0.4, "hsv_v": 0.2}
_UNSHARED = ("fixed", "uncertainty")  # methods that need no shared layer


def as_detection(recipe: JointRecipe) -> DetectionRecipe:
    """The recipe of the detection part, for the library.

    Without `augment` images are only resized and padded; with it they are mirrored, moved, zoomed and tinted,
    but never combined.
    """
    shared = DetectionRecipe.model_fields.keys() & type(recipe).model_fields.keys()
    changes = dict.fromkeys(_PLAIN | _COLOURS, 0.0) | (_AUGMENTED if recipe.augment else {})
    values = {name: getattr(recipe, name) for name in shared}
    return DetectionRecipe.model_validate({**values, **changes, "close_mosaic": 0})


def tasks_of(recipe: JointRecipe) -> tuple[str, ...]:
    """The trained tasks, in the balancer's order."""
    trained = {DETECTION: recipe.detect, CLASSIFICATION: recipe.classify}
    return tuple(task for task, wanted in trained.items() if wanted)


def balance_settings(recipe: JointRecipe, image_classes: int) -> BalanceSettings:
    """Settings with L(0) = log(classes) for classification, as in the paper; that of detection is measured.

    Gradients cannot be measured for a single task, or for two backbones without a shared layer. Raises
    BadSetting for an impossible combination.
    """
    tasks = tasks_of(recipe)
    both, shared = len(tasks) == 2, recipe.backbones == "shared"
    weights = {DETECTION: recipe.detection_weight, CLASSIFICATION: recipe.classification_weight}
    return BalanceSettings(
        method=recipe.balance if both else "fixed",
        weights={task: weights[task] for task in tasks} if both else {},
        alpha=recipe.gradnorm_alpha,
        lr=recipe.gradnorm_lr,
        logarithmic=recipe.gradnorm_log,
        floor=recipe.gradnorm_floor,
        every=recipe.balance_every if both and shared else 0,
        initial_steps=recipe.gradnorm_initial_steps,
        initial={CLASSIFICATION: math.log(max(image_classes, 2))} if recipe.classify else {},
        regression=frozenset(),
    )


def refuse_impossible(recipe: JointRecipe) -> None:
    """Raise BadSetting for values that exclude each other."""
    if not tasks_of(recipe):
        raise BadSetting("the recipe", "detect and classify", False, "at least one of them true")
    if recipe.balance in _UNSHARED or len(tasks_of(recipe)) < 2:
        return
    if not recipe.balance_every:
        allowed = f"1 or more with balance={recipe.balance}, which measures gradients"
        raise BadSetting("the recipe", "balance_every", recipe.balance_every, allowed)
    if recipe.backbones == "independent":
        raise BadSetting(
            "the recipe",
            "balance",
            recipe.balance,
            f"{' or '.join(_UNSHARED)} with backbones=independent, which have no shared layer",
        )
