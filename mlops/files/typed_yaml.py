"""Read YAML into pydantic models, with errors that point at file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from mlops.errors import UserError, brief
from mlops.files.bounded_yaml import NO_VALUE, compose

NOUNS: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of"}


def allowed(field: FieldInfo) -> str:
    """`a whole number, at least 1` or `SGD, MuSGD or auto`, and the field's description, if any."""
    parts = (_words(field.annotation, field.metadata), field.description or "")
    return ": ".join(part for part in parts if part)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The allowed values of a Literal field; () for other fields."""
    is_literal = get_origin(field.annotation) is Literal
    return tuple(str(value) for value in get_args(field.annotation)) if is_literal else ()


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """` (did you mean X?)` if one of `known` is similar to `given`, else ""."""
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
        f"{words} {_number(getattr(each, name))}"
        for each in metadata
        for name, words in BOUNDS.items()
        if getattr(each, name, None) is not None
    ]


def _number(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _list(values: list[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}" if most else last


KeyPath: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[KeyPath, int]


def read_yaml(text: str, where: str) -> tuple[dict[str, Any], Lines]:
    """The mapping in `text`, and the line (from 1) of each key's path.

    Raises UserError for invalid YAML, not a mapping, a duplicate key (YAML silently keeps the last), or more
    than `mlops.files.limits` allows.
    """
    lines: Lines = {}
    try:
        root, construct = compose(text)
        if root is not None:
            _walk(root, (), lines, where)
        content = construct(root) if root is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        says = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{where}{line}: not valid YAML: {brief(says)}; fix that line") from error
    except NO_VALUE as error:
        raise UserError(f"{where}: not valid YAML: {brief(error)}; fix that value") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping; write lines of `key: value`")
    return content, lines


def _walk(node: yaml.Node, path: KeyPath, lines: Lines, where: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, where)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        here = (*path, str(key.value) if isinstance(key, yaml.ScalarNode) else "?")
        line = key.start_mark.line + 1
        if here in lines and here[-1] != "<<":
            name = ".".join(str(part) for part in here)
            raise UserError(
                f"{where}:{line}: {name} is a duplicate (first in line {lines[here]}); remove one"
            )
        lines[here] = line
        _walk(value, here, lines, where)


class MissingValue:
    """The value of a missing key, for messages."""

    def __repr__(self) -> str:
        return "missing"


def where_at(where: str, path: KeyPath, lines: Lines | None) -> str:
    """`file.yaml:12` if the line of `path`, or of its parent, is known."""
    for length in range(len(path), 0, -1):
        if lines and path[:length] in lines:
            return f"{where}:{lines[path[:length]]}"
    return where


def no_such_key(given: str, known: Iterable[str]) -> str:
    """The message for a key that is not one of `known`."""
    known = tuple(known)
    return f"only these keys{did_you_mean(given, known)}: {', '.join(known)}"


class Strict(BaseModel):
    """Base of the typed classes that files are parsed into."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StrictSettings(Strict):
    """Values that `--set` may pass as text, so `20` is parsed as a number, but `yes` is not."""

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, given: Any, info: ValidationInfo) -> Any:
        """`epochs: yes` would otherwise be 1."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(given, bool) and kind is not bool and given not in get_args(kind):
            raise ValueError("a number, not true or false")
        return given
