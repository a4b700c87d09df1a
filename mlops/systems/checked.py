"""Values into their typed class, or one error that names place, key, what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlops.errors import BadSetting
from mlops.systems.space import KINDS
from mlops.systems.spec import RECIPE_OF_TASK, SearchSpec, SystemSpec
from mlops.typed_yaml.allowed import allowed, choices, did_you_mean
from mlops.typed_yaml.read_yaml import Lines, Path
from mlops.typed_yaml.refusal import Missing, no_such_key, where_at

Model = TypeVar("Model", bound=BaseModel)


def checked(
    kind: type[Model],
    content: Mapping[str, Any],
    where: str,
    lines: Lines | None = None,
    under: Path = (),
) -> Model:
    """`content` as `kind`. Raises BadSetting for the first thing that cannot be.

    lines: the line in the file of each key's path. under: the path at which `content` stands in the file.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # a misspelt key is also a missing one: the key that is there is the better one to name
        first = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        path = _path(first["loc"], kind)
        place = where_at(where, (*under, *path), lines)
        given = Missing() if first["type"] == "missing" else first["input"]
        key = ".".join(str(part) for part in (*under, *path)) or "the file"
        raise BadSetting(place, key, given, _allowed(first, path, kind, content)) from error


def _path(loc: Path, kind: type[BaseModel]) -> Path:
    """pydantic's location less the tag of a range's kind, which is no key of the file."""
    if kind is SystemSpec and len(loc) > 2 and loc[0] == "space" and loc[2] in KINDS:
        return (*loc[:2], *loc[3:])
    return loc


def _allowed(problem: Any, path: Path, kind: type[BaseModel], content: Mapping[str, Any]) -> str:
    holder = _holder(path, kind, content)
    name = str(path[-1]) if path else ""
    if problem["type"] == "extra_forbidden" and holder is not None:
        return no_such_key(name, holder.model_fields)
    if problem["type"].startswith("union_tag"):
        return f"a range with type: {', '.join(KINDS)}"
    if problem["type"] == "value_error" and not isinstance(problem["input"], bool):
        return str(problem["ctx"]["error"])  # one of our own validators, which says it best
    field = holder.model_fields.get(name) if holder is not None else None
    if field is None:
        return str(problem["msg"])
    return (allowed(field) or str(problem["msg"])) + did_you_mean(problem["input"], choices(field))


def _holder(path: Path, kind: type[BaseModel], content: Mapping[str, Any]) -> type[BaseModel] | None:
    """The class whose field is wrong."""
    if kind is not SystemSpec or len(path) < 2:
        return kind
    if path[0] == "recipe":
        return RECIPE_OF_TASK.get(str(content.get("task")))
    if path[0] == "space" and len(path) == 3:
        return KINDS.get(str(content["space"][path[1]].get("type")))
    if path[0] == "search":
        return SearchSpec
    return None
