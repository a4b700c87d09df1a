"""What a field may hold, in words: the last part of an error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

NOUNS: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of"}


def allowed(field: FieldInfo) -> str:
    """`a whole number, at least 1` or `SGD, MuSGD or auto`, and what the field means where it says so."""
    parts = (_words(field.annotation, field.metadata), field.description or "")
    return ": ".join(part for part in parts if part)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The names that a field may hold; none for one that holds something else."""
    is_literal = get_origin(field.annotation) is Literal
    return tuple(str(value) for value in get_args(field.annotation)) if is_literal else ()


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """` (did you mean X?)` where one of `known` is close to `given`, else nothing."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(given).lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""


def _words(annotation: Any, metadata: Iterable[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _words(inner, [m for each in more for m in getattr(each, "metadata", [each])])
    if origin in (Union, UnionType):
        return " or ".join(filter(None, (_words(part, ()) for part in get_args(annotation))))
    if origin is Literal:
        return _list([str(value) for value in get_args(annotation)])
    if annotation is type(None):
        return "none"
    noun = NOUNS.get(annotation, "")
    return ", ".join([noun, *_bounds(metadata)]) if noun else ""


def _bounds(metadata: Iterable[Any]) -> list[str]:
    return [
        f"{words} {getattr(each, name):g}"
        for each in metadata
        for name, words in BOUNDS.items()
        if getattr(each, name, None) is not None
    ]


def _list(values: list[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}" if most else last
