"""The search space: ranges for keys of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from mlops.files.typed_yaml import Strict


class FloatRange(Strict):
    """Any number from `low` to `high`; `log` samples uniformly in the logarithm."""

    type: Literal["float"]
    low: Annotated[float, Field(strict=True)]
    high: Annotated[float, Field(strict=True)]
    log: bool = False


class IntRange(Strict):
    """`low`, `low + step`, ... up to `high`."""

    type: Literal["int"]
    low: Annotated[int, Field(strict=True)]
    high: Annotated[int, Field(strict=True)]
    step: Annotated[int, Field(ge=1, strict=True)] = 1


class Choice(Strict):
    type: Literal["choice"]
    values: Annotated[tuple[str | int | float | bool, ...], Field(min_length=2)]


SearchRange: TypeAlias = Annotated[FloatRange | IntRange | Choice, Field(discriminator="type")]
Space: TypeAlias = dict[str, SearchRange]
KINDS: dict[str, type[Strict]] = {"float": FloatRange, "int": IntRange, "choice": Choice}


def holds(span: SearchRange, value: object) -> bool:
    """Whether a search of `span` could choose `value`."""
    if isinstance(span, Choice):
        return value in span.values
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if isinstance(span, IntRange) and (value - span.low) % span.step:
        return False
    return span.low <= value <= span.high


def describe(span: SearchRange) -> str:
    """A range as `--set space.KEY=` takes it: `0.001..0.1 log`, `1..9 step 2` or `8,16,32`."""
    if isinstance(span, Choice):
        return ",".join(str(value) for value in span.values)
    step = f" step {span.step}" if isinstance(span, IntRange) and span.step > 1 else ""
    log = " log" if isinstance(span, FloatRange) and span.log else ""
    return f"{span.low}..{span.high}{step}{log}"


def parse_range(text: str, *, whole: bool) -> SearchRange:
    """The inverse of `describe`. `whole`: the field is an integer. Raises ValueError.

    >>> describe(parse_range("0.001 .. 0.1 log", whole=False))
    '0.001..0.1 log'
    """
    if ".." not in text:
        return Choice(type="choice", values=tuple(part.strip() for part in text.split(",")))
    low, _, rest = text.partition("..")
    high, *words = rest.split()
    if whole:
        if words and (len(words) != 2 or words[0] != "step"):
            raise ValueError(text)
        return IntRange(type="int", low=int(low), high=int(high), step=int(words[1]) if words else 1)
    if words not in ([], ["log"]):
        raise ValueError(text)
    return FloatRange(type="float", low=float(low), high=float(high), log=bool(words))
