"""Validate values against their typed class, and a search space against its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlops.errors import BadSetting
from mlops.files.typed_yaml import (
    KeyPath,
    Lines,
    MissingValue,
    allowed,
    choices,
    did_you_mean,
    no_such_key,
    where_at,
)
from mlops.systems.space import KINDS, Choice, FloatRange, IntRange, SearchRange, describe, holds
from mlops.systems.spec import RECIPE_OF_TASK, SearchSpec, SystemSpec

if TYPE_CHECKING:
    pass

Model = TypeVar("Model", bound=BaseModel)


def checked(
    kind: type[Model],
    content: Mapping[str, Any],
    where: str,
    lines: Lines | None = None,
    under: KeyPath = (),
) -> Model:
    """`content` as `kind`. Raises BadSetting for the first invalid value.

    lines: the line of each key's path in the file. under: the path of `content` in the file.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # a misspelt key is also reported as missing: report the key in the file
        first = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        path = _path(first["loc"], kind)
        place = where_at(where, (*under, *path), lines)
        given = MissingValue() if first["type"] == "missing" else first["input"]
        key = ".".join(str(part) for part in (*under, *path)) or "the file"
        raise BadSetting(place, key, given, _allowed(first, path, kind, content)) from error


def _path(loc: KeyPath, kind: type[BaseModel]) -> KeyPath:
    """pydantic's location without the tag of a range's kind, which is not a key of the file."""
    if kind is SystemSpec and len(loc) > 2 and loc[0] == "space" and loc[2] in KINDS:
        return (*loc[:2], *loc[3:])
    return loc


def _allowed(problem: Any, path: KeyPath, kind: type[BaseModel], content: Mapping[str, Any]) -> str:
    holder = _holder(path, kind, content)
    name = str(path[-1]) if path else ""
    if problem["type"] == "extra_forbidden" and holder is not None:
        return no_such_key(name, holder.model_fields)
    if problem["type"].startswith("union_tag"):
        return f"a range with type: {', '.join(KINDS)}"
    if problem["type"] == "value_error" and not isinstance(problem["input"], bool):
        return str(problem["ctx"]["error"])  # the message of our own validator
    field = holder.model_fields.get(name) if holder is not None else None
    if field is None:
        return str(problem["msg"])
    return (allowed(field) or str(problem["msg"])) + did_you_mean(problem["input"], choices(field))


def _holder(path: KeyPath, kind: type[BaseModel], content: Mapping[str, Any]) -> type[BaseModel] | None:
    """The class of the invalid field."""
    if kind is not SystemSpec or len(path) < 2:
        return kind
    if path[0] == "recipe":
        return RECIPE_OF_TASK.get(str(content.get("task")))
    if path[0] == "space" and len(path) == 3:
        spans = {str(key): span for key, span in content["space"].items()}  # YAML's keys may be numbers
        return KINDS.get(str(spans[str(path[1])].get("type")))
    if path[0] == "search":
        return SearchSpec
    return None


def check_space(spec: SystemSpec, where: str, lines: Lines | None = None) -> None:
    """Raise BadSetting for the first invalid range."""
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
            needed = f"a range that contains the recipe's {values[name]}, which trial 0 uses"
            raise BadSetting(place, key, describe(span), needed)


def as_field(recipe: BaseModel, name: str, given: object, place: str, key: str) -> object:
    """`given` converted to the type of the recipe's field `name`. Raises BadSetting for `key`."""
    try:
        return getattr(checked(type(recipe), {**recipe.model_dump(), name: given}, place), name)
    except BadSetting as error:
        raise BadSetting(place, key, given, error.allowed) from error


def ends(span: SearchRange) -> tuple[object, ...]:
    """All values of a choice, else both ends of the range."""
    return span.values if isinstance(span, Choice) else (span.low, span.high)


def points(span: SearchRange) -> tuple[object, ...]:
    """Values that are valid only if every value of the range is."""
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
            raise BadSetting(place, key, describe(span), "unique values")
        return
    if span.low >= span.high:
        raise BadSetting(place, key, describe(span), "a low end below the high end")
    if isinstance(span, FloatRange) and span.log and span.low <= 0:
        raise BadSetting(place, key, describe(span), "a low end above 0 for a logarithmic range")
    if isinstance(span, IntRange) and (span.high - span.low) % span.step:
        raise BadSetting(
            place, key, describe(span), "a high end that is a whole number of steps from the low end"
        )
