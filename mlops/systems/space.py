"""What a search may vary: named ranges beside a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class _Range(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FloatRange(_Range):
    type: Literal["float"]
    low: float
    high: float
    log: bool = False


class IntRange(_Range):
    type: Literal["int"]
    low: int
    high: int
    step: Annotated[int, Field(ge=1)] = 1


class Choice(_Range):
    type: Literal["choice"]
    values: Annotated[tuple[str | int | float | bool, ...], Field(min_length=2)]


SearchRange: TypeAlias = Annotated[FloatRange | IntRange | Choice, Field(discriminator="type")]
Space: TypeAlias = dict[str, SearchRange]
