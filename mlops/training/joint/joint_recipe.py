"""A joint recipe as what each part of the training reads. Pure."""

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
# moved and mirrored a little: mosaic and mixup would make images that have no class of their own
_AUGMENTED = {"translate": 0.1, "scale": 0.2, "fliplr": 0.5, "hsv_h": 0.015, "hsv_s": 0.4, "hsv_v": 0.2}
_UNSHARED = ("fixed", "uncertainty")  # balances that need no shared layer


def as_detection(recipe: JointRecipe) -> DetectionRecipe:
    """The recipe of the network's detection part, as the library is told it.

    Without `augment` images are only resized and padded; with it they are mirrored, moved, zoomed and
    tinted, never put together.
    """
    shared = DetectionRecipe.model_fields.keys() & type(recipe).model_fields.keys()
    changes = dict.fromkeys(_PLAIN | _COLOURS, 0.0) | (_AUGMENTED if recipe.augment else {})
    values = {name: getattr(recipe, name) for name in shared}
    return DetectionRecipe.model_validate({**values, **changes, "close_mosaic": 0})


def tasks_of(recipe: JointRecipe) -> tuple[str, ...]:
    """The tasks whose losses are trained, in the balancer's order."""
    trained = {DETECTION: recipe.detect, CLASSIFICATION: recipe.classify}
    return tuple(task for task, wanted in trained.items() if wanted)


def balance_settings(recipe: JointRecipe, image_classes: int) -> BalanceSettings:
    """L(0) of the classification is log(classes), as the paper has it; that of the detection is measured.

    A single task, or two backbones that share no layer, leave nothing to measure gradients on. Raises
    BadSetting for what cannot be.
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
    """Raise BadSetting for values that are each allowed and not together."""
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
            f"{' or '.join(_UNSHARED)} with backbones=independent, which share no layer to measure on",
        )
