"""Find settings without effect before a training or search starts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.errors import BadSetting
from mlops.files.typed_yaml import where_at
from mlops.systems.space import describe
from mlops.systems.validation import ends

if TYPE_CHECKING:
    from mlops.files.typed_yaml import Lines
    from mlops.systems.spec import SystemSpec

Possible = Callable[[str], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class IdleSetting:
    """`keys` have no effect if `applies` is true for the possible values of the other keys.

    tasks: the tasks of the recipes concerned. searched_only: setting the key is useful, searching it is not.
    """

    tasks: tuple[str, ...]
    keys: tuple[str, ...]
    applies: Callable[[Possible], bool]
    why: str
    searched_only: bool = False


ANY_TASK = ("detection", "classification", "joint")
RULES = (
    IdleSetting(
        ("detection",),
        ("lr0", "momentum"),
        lambda may: "auto" in may("optimizer"),
        "optimizer=auto chooses this value and ignores a given one; set an optimizer",
    ),
    IdleSetting(
        ("detection",),
        ("freeze_epochs",),
        lambda may: set(may("freeze_layers")) == {0},
        "freeze_layers is 0, so nothing is frozen; set freeze_layers",
    ),
    IdleSetting(
        ("detection",),
        ("close_mosaic",),
        lambda may: all(set(may(key)) == {0.0} for key in ("mosaic", "mixup", "copy_paste")),
        "mosaic, mixup and copy_paste are 0, so there is nothing to switch off; set one of them",
    ),
    IdleSetting(
        ("detection",),
        ("cls_pw",),
        lambda may: may("number of classes") == (1,),
        "the system has one class, whose weight is always 1",
        searched_only=True,
    ),
    IdleSetting(
        ("detection",),
        ("save_period",),
        lambda may: True,
        "it only keeps checkpoints and changes no metric; set it instead",
        searched_only=True,
    ),
    IdleSetting(
        ("classification",),
        ("warmup_epochs",),
        lambda may: set(may("schedule")) == {"onecycle"},
        "the one-cycle schedule has its own warm-up; set schedule=cosine or constant",
    ),
    IdleSetting(
        ("classification",),
        ("compile",),
        lambda may: True,
        "it changes only the speed and no metric; set it instead",
        searched_only=True,
    ),
    IdleSetting(
        ("joint",),
        ("gradnorm_alpha", "gradnorm_log", "gradnorm_initial_steps"),
        lambda may: "gradnorm" not in may("balance"),
        "only balance=gradnorm uses it; set balance=gradnorm",
    ),
    IdleSetting(
        ("joint",),
        ("gradnorm_lr", "gradnorm_floor"),
        lambda may: not {"gradnorm", "uncertainty"} & set(may("balance")),
        "this balance does not learn weights; set balance=gradnorm",
    ),
    IdleSetting(
        ("joint",),
        (
            "balance",
            "balance_every",
            "gradnorm_alpha",
            "gradnorm_lr",
            "gradnorm_log",
            "gradnorm_floor",
            "gradnorm_initial_steps",
        ),
        lambda may: set(may("classify")) == {False} or set(may("detect")) == {False},
        "only one loss is trained, so there is nothing to balance; set classify=true and detect=true",
        searched_only=True,
    ),
    IdleSetting(
        ("joint",),
        ("detection_weight", "classification_weight"),
        lambda may: set(may("balance")) <= {"upgrad", "pcgrad"},
        "gradient surgery computes the loss weights; set balance=fixed or gradnorm",
    ),
    IdleSetting(
        ("joint",),
        ("head_width", "head_dropout"),
        lambda may: set(may("classify")) == {False},
        "the class head is not trained; set classify=true",
    ),
    IdleSetting(
        ("joint",),
        ("detect", "classify", "image_label"),
        lambda may: True,
        "trials of other tasks or other classes cannot be ranked by one metric; set it instead",
        searched_only=True,
    ),
    IdleSetting(
        ANY_TASK,
        ("epochs",),
        lambda may: may("search.trial_epochs") != (None,),
        "every trial has search.trial_epochs epochs; set search.trial_epochs=none",
        searched_only=True,
    ),
)


def refuse_without_effect(
    spec: SystemSpec, chosen: Collection[str], where: str, lines: Lines | None = None
) -> None:
    """Raise BadSetting for a name in `chosen` (searched, or set by the user) without effect."""
    for key, why in without_effect(spec, chosen).items():
        if key not in spec.space:
            raise BadSetting(
                where, key, spec.recipe.model_dump()[key], f"no value, as it would have no effect: {why}"
            )
        place = where_at(where, ("space", key), lines)
        says = f"no range, as a search would have no effect: {why}, or remove it (space.{key}=none)"
        raise BadSetting(place, f"space.{key}", describe(spec.space[key]), says)


def without_effect(spec: SystemSpec, chosen: Collection[str]) -> dict[str, str]:
    """The names in `chosen` without effect, each with the reason."""
    values = {
        **spec.recipe.model_dump(),
        "number of classes": len(spec.classes),
        "search.trial_epochs": spec.search.trial_epochs,
    }

    def possible(key: str) -> tuple[object, ...]:
        return ends(spec.space[key]) if key in spec.space else (values[key],)

    def asks(key: str, rule: IdleSetting) -> bool:
        """A value of 0 or false requests nothing, so it is never reported."""
        return key in chosen and (key in spec.space or (bool(values[key]) and not rule.searched_only))

    return {
        key: rule.why
        for rule in RULES
        if spec.task in rule.tasks
        for key in rule.keys
        if asks(key, rule) and rule.applies(possible)
    }
