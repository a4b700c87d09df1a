"""Settings that would have no effect: found before a night is wasted on them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.errors import BadSetting
from mlops.systems.fit import ends

if TYPE_CHECKING:
    from mlops.systems.spec import SystemSpec

Possible = Callable[[str], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`key` has no effect where `applies` holds of the values that the other keys may take."""

    task: str
    keys: tuple[str, ...]
    applies: Callable[[Possible], bool]
    why: str


RULES = (
    Rule(
        "detection",
        ("lr0", "momentum"),
        lambda may: "auto" in may("optimizer"),
        "optimizer=auto chooses it by itself and ignores what is given; name an optimizer",
    ),
    Rule(
        "detection",
        ("freeze_epochs",),
        lambda may: set(may("freeze_layers")) == {0},
        "freeze_layers is 0, so nothing is frozen; set freeze_layers",
    ),
    Rule(
        "detection",
        ("close_mosaic",),
        lambda may: set(may("mosaic")) == {0.0},
        "mosaic is 0, so there is none to close; set mosaic",
    ),
    Rule(
        "classification",
        ("warmup_epochs",),
        lambda may: set(may("schedule")) == {"onecycle"},
        "the one-cycle schedule brings its own warm-up; choose schedule=cosine or constant",
    ),
)


def refuse_without_effect(spec: SystemSpec, chosen: Collection[str], where: str) -> None:
    """Raise BadSetting for a name in `chosen` (searched, or set by the user) that would change nothing."""
    values = spec.recipe.model_dump()

    def possible(key: str) -> tuple[object, ...]:
        return ends(spec.space[key]) if key in spec.space else (values[key],)

    for rule in RULES:
        if rule.task != spec.task:
            continue
        for key in rule.keys:
            if key in chosen and _says_something(key, values, spec) and rule.applies(possible):
                raise BadSetting(where, key, "set or searched", f"not here: {rule.why}")
    if "cls_pw" in spec.space and len(spec.classes) == 1:
        raise BadSetting(where, "cls_pw", "searched", "not here: class weights of one class change nothing")


def _says_something(key: str, values: dict[str, object], spec: SystemSpec) -> bool:
    """A 0 asks for nothing, so it cannot be without effect."""
    return key in spec.space or bool(values[key])
