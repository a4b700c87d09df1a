"""Does a search space fit its recipe: names known, values that it may hold, the recipe inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from mlops.errors import BadSetting
from mlops.systems.space import Choice, SearchRange

if TYPE_CHECKING:
    from mlops.systems.spec import SystemSpec


def check_space(spec: SystemSpec, where: str) -> None:
    """Raise BadSetting for the first range that cannot be searched."""
    values = spec.recipe.model_dump()
    for name, span in spec.space.items():
        place = f"space.{name}"
        if name not in values:
            raise BadSetting(where, place, name, f"a key of the recipe: {', '.join(values)}")
        _check_bounds(span, where, place)
        for end in ends(span):
            try:
                type(spec.recipe).model_validate({**values, name: end})
            except ValidationError as error:
                raise BadSetting(where, place, end, str(error.errors()[0]["msg"])) from error
        if not holds(span, values[name]):
            raise BadSetting(
                where, place, describe(span), f"a range that holds the recipe's {values[name]!r}"
            )


def _check_bounds(span: SearchRange, where: str, place: str) -> None:
    if isinstance(span, Choice):
        if len(set(span.values)) < len(span.values):
            raise BadSetting(where, place, list(span.values), "values that differ")
        return
    if span.low >= span.high:
        raise BadSetting(where, place, describe(span), "low below high")
    if span.type == "float" and span.log and span.low <= 0:
        raise BadSetting(where, place, span.low, "a low above 0 for a logarithmic range")


def ends(span: SearchRange) -> tuple[object, ...]:
    """The values by which a range is checked: all of a choice, else both ends."""
    return span.values if isinstance(span, Choice) else (span.low, span.high)


def holds(span: SearchRange, value: object) -> bool:
    """Whether a search of `span` could choose `value`."""
    if isinstance(span, Choice):
        return value in span.values
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if span.type == "int" and (int(value) - span.low) % span.step:
        return False
    return span.low <= value <= span.high


def describe(span: SearchRange) -> str:
    """A range in one short text: `0.001 .. 0.1 log` or `8, 16, 32`."""
    if isinstance(span, Choice):
        return ", ".join(str(value) for value in span.values)
    step = f" step {span.step}" if span.type == "int" and span.step > 1 else ""
    log = " log" if span.type == "float" and span.log else ""
    return f"{span.low} .. {span.high}{step}{log}"
