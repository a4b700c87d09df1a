"""Settings that would have no effect: found before a night is wasted on them."""

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
    """`keys` have no effect where `applies` holds of the values that the other keys may take.

    tasks: those whose recipes it is about. searched_only: setting the key is useful, searching it is not.
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
        "optimizer=auto chooses it by itself and ignores what is given; name an optimizer",
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
        "mosaic, mixup and copy_paste are 0, so there is none to close; set one of them",
    ),
    IdleSetting(
        ("detection",),
        ("cls_pw",),
        lambda may: may("number of classes") == (1,),
        "the system declares one class, and the weight of a single class is always 1",
        searched_only=True,
    ),
    IdleSetting(
        ("detection",),
        ("save_period",),
        lambda may: True,
        "it keeps checkpoints and changes no metric; set it instead",
        searched_only=True,
    ),
    IdleSetting(
        ("classification",),
        ("warmup_epochs",),
        lambda may: set(may("schedule")) == {"onecycle"},
        "the one-cycle schedule brings its own warm-up; choose schedule=cosine or constant",
    ),
    IdleSetting(
        ("classification",),
        ("compile",),
        lambda may: True,
        "it changes the speed and no metric; set it instead",
        searched_only=True,
    ),
    IdleSetting(
        ("joint",),
        ("gradnorm_alpha", "gradnorm_log", "gradnorm_initial_steps"),
        lambda may: "gradnorm" not in may("balance"),
        "only balance=gradnorm reads it; set balance=gradnorm",
    ),
    IdleSetting(
        ("joint",),
        ("gradnorm_lr", "gradnorm_floor"),
        lambda may: not {"gradnorm", "uncertainty"} & set(may("balance")),
        "this balance learns no weights; set balance=gradnorm",
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
        "one loss alone is trained and there is nothing to balance; set classify=true and detect=true",
        searched_only=True,
    ),
    IdleSetting(
        ("joint",),
        ("detection_weight", "classification_weight"),
        lambda may: set(may("balance")) <= {"upgrad", "pcgrad"},
        "gradient surgery weighs the losses itself; set balance=fixed or gradnorm",
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
        "every trial takes search.trial_epochs epochs; set search.trial_epochs=none",
        searched_only=True,
    ),
)


def refuse_without_effect(
    spec: SystemSpec, chosen: Collection[str], where: str, lines: Lines | None = None
) -> None:
    """Raise BadSetting for a name in `chosen` (searched, or set by the user) that would change nothing."""
    for key, why in without_effect(spec, chosen).items():
        if key not in spec.space:
            raise BadSetting(
                where, key, spec.recipe.model_dump()[key], f"nothing here, it would have no effect: {why}"
            )
        place = where_at(where, ("space", key), lines)
        says = f"no range here, a search of it would have no effect: {why}, or take it out (space.{key}=none)"
        raise BadSetting(place, f"space.{key}", describe(spec.space[key]), says)


def without_effect(spec: SystemSpec, chosen: Collection[str]) -> dict[str, str]:
    """The names in `chosen` that would change nothing, each with the reason."""
    values = {
        **spec.recipe.model_dump(),
        "number of classes": len(spec.classes),
        "search.trial_epochs": spec.search.trial_epochs,
    }

    def possible(key: str) -> tuple[object, ...]:
        return ends(spec.space[key]) if key in spec.space else (values[key],)

    def asks(key: str, rule: IdleSetting) -> bool:
        """A 0 asks for nothing, so it cannot be without effect."""
        return key in chosen and (key in spec.space or (bool(values[key]) and not rule.searched_only))

    return {
        key: rule.why
        for rule in RULES
        if spec.task in rule.tasks
        for key in rule.keys
        if asks(key, rule) and rule.applies(possible)
    }
