"""From a system as declared to the one that is trained: variant, demo size, and what the user sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from mlops.errors import BadSetting
from mlops.systems.effect import refuse_without_effect
from mlops.systems.fit import check_space, holds
from mlops.systems.load import checked, suggestion
from mlops.systems.space import Choice, FloatRange, IntRange, SearchRange
from mlops.systems.spec import SystemSpec

WHERE = "--set"


def configure(spec: SystemSpec, settings: Sequence[str], *, demo: bool = False) -> SystemSpec:
    """Apply `variant=NAME`, the demo changes, then each `KEY=VALUE`, and check the whole again.

    A key that is set is no longer searched. `space.KEY=LOW..HIGH`, `space.KEY=LOW..HIGH log`,
    `space.KEY=A,B,C` change what is searched, `space.KEY=none` takes it out, `space=none` all of it.
    `search.trial_epochs=N` changes the study. Raises BadSetting.

    >>> from mlops.systems import load_system
    >>> configure(load_system("oct-detector"), ["variant=yolo26s", "lr0=0.01"]).recipe.image_size
    640
    """
    given = [_split(setting) for setting in settings]
    changes: dict[str, Any] = {}
    for key, value in given:
        if key == "variant":
            changes.update(_variant(spec, value))
    if demo:
        changes.update(spec.demo)
    fixed = {key: _typed(value) for key, value in given if "." not in key and key not in ("variant", "space")}
    _known(fixed, tuple(type(spec.recipe).model_fields))
    recipe = checked(type(spec.recipe), {**spec.recipe.model_dump(), **changes, **fixed}, WHERE)
    values = recipe.model_dump()
    space = {
        name: span for name, span in spec.space.items() if name not in fixed and holds(span, values[name])
    }
    search = spec.search.model_dump()
    for key, value in given:
        room, _, name = key.partition(".")
        if room == "space" and not name:
            if value != "none":
                raise BadSetting(WHERE, key, value, "space=none; one range is space.KEY=LOW..HIGH")
            space = {}
        elif room == "space":
            _change_space(space, name, value, values)
        elif room == "search":
            search[name] = _typed(value)
        elif name:
            raise BadSetting(WHERE, key, value, "KEY=VALUE, space.KEY=..., search.KEY=...")
    content = {**spec.model_dump(exclude={"recipe", "space", "search"}), "recipe": recipe, "space": space}
    result: SystemSpec = checked(SystemSpec, {**content, "search": search}, WHERE)
    check_space(result, WHERE)
    refuse_without_effect(result, {*fixed, *result.space}, WHERE)
    return result


def _split(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise BadSetting(WHERE, setting, setting, "KEY=VALUE, for example --set epochs=20")
    return key.strip(), value.strip()


def _typed(value: str) -> Any:
    """`value` as YAML reads it, so that 3 is a number; what it cannot read stays text."""
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    if isinstance(read, str) or read is None:
        try:  # YAML reads 1e-4 as text
            return float(value)
        except ValueError:
            return value
    return read


def _variant(spec: SystemSpec, name: str) -> dict[str, Any]:
    if name not in spec.variants:
        allowed = ", ".join(spec.variants) or "none are declared"
        raise BadSetting(WHERE, "variant", name, allowed + suggestion(name, tuple(spec.variants)))
    return spec.variants[name]


def _known(fixed: dict[str, Any], names: tuple[str, ...]) -> None:
    for key, value in fixed.items():
        if key not in names:
            raise BadSetting(
                WHERE,
                key,
                value,
                f"no such key{suggestion(key, names)} Keys: {', '.join(names)}, variant, space.KEY",
            )


def _change_space(space: dict[str, SearchRange], name: str, value: str, recipe: dict[str, object]) -> None:
    if name not in recipe:
        raise BadSetting(
            WHERE, f"space.{name}", value, f"a key of the recipe{suggestion(name, tuple(recipe))}"
        )
    if value == "none":
        space.pop(name, None)
        return
    try:
        space[name] = _range(value)
    except ValueError as error:
        raise BadSetting(WHERE, f"space.{name}", value, "LOW..HIGH, LOW..HIGH log, A,B,C or none") from error


def _range(text: str) -> SearchRange:
    if ".." in text:
        low, _, rest = text.partition("..")
        high, _, log = rest.strip().partition(" ")
        if log.strip() not in ("", "log"):
            raise ValueError(text)
        ends = (_typed(low.strip()), _typed(high))
        if all(isinstance(end, int) for end in ends) and not log:
            return IntRange(type="int", low=ends[0], high=ends[1])
        return FloatRange(type="float", low=ends[0], high=ends[1], log=bool(log))
    return Choice(type="choice", values=tuple(_typed(part.strip()) for part in text.split(",")))
