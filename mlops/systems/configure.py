"""Apply variant, demo size and the user's settings to a declared system."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.errors import BadSetting
from mlops.files.typed_yaml import did_you_mean, no_such_key
from mlops.systems.effect import refuse_without_effect, without_effect
from mlops.systems.recipe import AnyRecipe, JointRecipe
from mlops.systems.space import Choice, SearchRange, holds, parse_range
from mlops.systems.spec import OBJECTIVES, SearchSpec, SystemSpec
from mlops.systems.validation import as_field, check_space, checked

WHERE = "--set"


def configure(spec: SystemSpec, settings: Sequence[str], *, demo: bool = False) -> SystemSpec:
    """Apply each `variant=NAME`, the demo changes (which keep a variant's model), then each `KEY=VALUE`.

    A range that does not contain a variant's or the demo's value, or has no effect with it, is not searched.
    A key that is set is no longer searched. `space.KEY=LOW..HIGH`, `space.KEY=LOW..HIGH log` and
    `space.KEY=A,B,C` change a range, `space.KEY=none` removes it, `space=none` removes all of them.
    `search.trial_epochs=N` changes the study. Raises BadSetting.

    >>> from mlops.systems import load_system
    >>> configure(load_system("oct-detector"), ["variant=yolo26s", "lr0=0.01"]).recipe.image_size
    640
    """
    given = [_split(setting) for setting in settings]
    base = _start(spec, [value for key, value in given if key == "variant"], demo)
    fixed = {key: value for key, value in given if "." not in key and key not in ("variant", "space")}
    _known(fixed, base.recipe)
    recipe = checked(type(base.recipe), {**base.recipe.model_dump(), **fixed}, WHERE)
    space = {name: span for name, span in base.space.items() if name not in fixed}
    search = base.search
    for key, value in given:
        room, dot, name = key.partition(".")
        if room == "space":
            space = _change_space(space, name, value, recipe)
        elif room == "search" and dot:
            changed = {**search.model_dump(), name: None if value == "none" else value}
            search = checked(SearchSpec, changed, WHERE, under=("search",))
        elif dot:
            raise BadSetting(WHERE, key, value, "KEY=VALUE, space.KEY=RANGE or search.KEY=VALUE")
    settled = {"recipe": recipe, "space": space, "search": search, "objective": _objective(base, recipe)}
    result = base.model_copy(update=settled)
    check_space(result, WHERE)
    refuse_without_effect(result, {*fixed, *result.space}, WHERE)
    return result


def _objective(spec: SystemSpec, recipe: AnyRecipe) -> str:
    """The declared objective; for a joint network trained on one task, a metric of this task."""
    if not isinstance(recipe, JointRecipe) or recipe.detect == recipe.classify:
        return spec.objective
    reported = OBJECTIVES["detection" if recipe.detect else "classification"]
    return spec.objective if spec.objective in reported else reported[0]


def _split(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise BadSetting(WHERE, setting, "", "KEY=VALUE, for example --set epochs=20")
    return key.strip(), value.strip()


def _start(spec: SystemSpec, variants: Sequence[str], demo: bool) -> SystemSpec:
    changes: dict[str, object] = {}
    for name in variants:
        if name not in spec.variants:
            declared = ", ".join(spec.variants) or f"none, as {spec.name} declares none"
            raise BadSetting(WHERE, "variant", name, declared + did_you_mean(name, spec.variants))
        changes.update(spec.variants[name])
    if demo:  # the demo's size, but the variant's network
        changes = {**changes, **spec.demo, **{key: changes[key] for key in ("model",) if key in changes}}
    recipe = checked(type(spec.recipe), {**spec.recipe.model_dump(), **changes}, WHERE)
    space = {name: span for name, span in spec.space.items() if holds(span, getattr(recipe, name))}
    changed = spec.model_copy(update={"recipe": recipe, "space": space})
    idle = without_effect(changed, space)
    return changed.model_copy(update={"space": {n: span for n, span in space.items() if n not in idle}})


def _known(fixed: dict[str, str], recipe: AnyRecipe) -> None:
    names = (*type(recipe).model_fields, "variant", "space.KEY", "search.KEY")
    for key, value in fixed.items():
        if key not in names:
            raise BadSetting(WHERE, key, value, no_such_key(key, names))


def _change_space(
    space: dict[str, SearchRange], name: str, value: str, recipe: AnyRecipe
) -> dict[str, SearchRange]:
    key = f"space.{name}" if name else "space"
    if not name:
        if value != "none":
            raise BadSetting(WHERE, key, value, "space=none; one range is space.KEY=LOW..HIGH")
        return {}
    field = type(recipe).model_fields.get(name)
    if field is None:
        raise BadSetting(WHERE, key, value, no_such_key(name, type(recipe).model_fields))
    if value == "none":
        return {other: span for other, span in space.items() if other != name}
    whole = field.annotation is int
    try:
        span = parse_range(value, whole=whole)
    except ValueError as error:
        ranges = "LOW..HIGH, LOW..HIGH " + ("step N" if whole else "log")
        raise BadSetting(WHERE, key, value, f"{ranges}, A,B,C or none") from error
    if isinstance(span, Choice):
        typed = [as_field(recipe, name, text, WHERE, key) for text in span.values]
        span = Choice.model_validate({"type": "choice", "values": typed})
    return {**space, name: span}
