"""Does a search space fit its recipe: names known, values that it may hold, the recipe inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.errors import BadSetting
from mlops.systems.checked import checked
from mlops.systems.space import Choice, FloatRange, IntRange, SearchRange, describe, holds
from mlops.typed_yaml.allowed import allowed
from mlops.typed_yaml.refusal import no_such_key, where_at

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mlops.systems.spec import SystemSpec
    from mlops.typed_yaml.read_yaml import Lines


def check_space(spec: SystemSpec, where: str, lines: Lines | None = None) -> None:
    """Raise BadSetting for the first range that cannot be searched."""
    values = spec.recipe.model_dump()
    for name, span in spec.space.items():
        place, key = where_at(where, ("space", name), lines), f"space.{name}"
        if name not in values:
            raise BadSetting(place, key, describe(span), no_such_key(name, values))
        _check_kind(type(spec.recipe), name, span, place)
        _check_bounds(span, place, key)
        for point in points(span):
            if as_field(spec.recipe, name, point, place, key) != point:
                raise BadSetting(place, key, point, allowed(type(spec.recipe).model_fields[name]))
        if not holds(span, values[name]):
            needed = f"a range that holds the recipe's {values[name]}, which trial 0 is trained with"
            raise BadSetting(place, key, describe(span), needed)


def as_field(recipe: BaseModel, name: str, given: object, place: str, key: str) -> object:
    """`given` as the recipe's field `name` would hold it. Raises BadSetting, calling it `key`."""
    try:
        return getattr(checked(type(recipe), {**recipe.model_dump(), name: given}, place), name)
    except BadSetting as error:
        raise BadSetting(place, key, given, error.allowed) from error


def ends(span: SearchRange) -> tuple[object, ...]:
    """The values by which a range is judged: all of a choice, else both ends."""
    return span.values if isinstance(span, Choice) else (span.low, span.high)


def points(span: SearchRange) -> tuple[object, ...]:
    """Values that are allowed only if every value of the range is."""
    if isinstance(span, IntRange):
        return (span.low, span.low + span.step, span.high)
    return ends(span)


def _check_kind(kind: type[BaseModel], name: str, span: SearchRange, place: str) -> None:
    holds_what = kind.model_fields[name].annotation
    if isinstance(span, FloatRange) and holds_what is int:
        raise BadSetting(place, f"space.{name}", describe(span), "a range of type int, or a choice")
    if not isinstance(span, Choice) and holds_what not in (int, float):
        raise BadSetting(place, f"space.{name}", describe(span), "a choice of values")


def _check_bounds(span: SearchRange, place: str, key: str) -> None:
    if isinstance(span, Choice):
        if len(set(span.values)) < len(span.values):
            raise BadSetting(place, key, describe(span), "values that differ")
        return
    if span.low >= span.high:
        raise BadSetting(place, key, describe(span), "a low end below the high end")
    if isinstance(span, FloatRange) and span.log and span.low <= 0:
        raise BadSetting(place, key, describe(span), "a low end above 0 for a logarithmic range")
    if isinstance(span, IntRange) and (span.high - span.low) % span.step:
        raise BadSetting(place, key, describe(span), "a high end that whole steps lead to from the low end")
