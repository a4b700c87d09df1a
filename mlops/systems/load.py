"""From a YAML file to a typed system, with errors that name file, key, what was given and what is allowed."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mlops.errors import BadSetting, UserError
from mlops.systems.effect import refuse_without_effect
from mlops.systems.fit import check_space
from mlops.systems.spec import RECIPE_OF_TASK, SystemSpec


def list_systems() -> tuple[str, ...]:
    """Names of the systems that come with the product, in order."""
    folder = resources.files("mlops.systems")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_system(name_or_path: str) -> SystemSpec:
    """A system that comes with the product, or one declared in a YAML file of the user's.

    Raises UserError for a name that is unknown, BadSetting for a file that cannot be.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            raise UserError(f"{name_or_path}: there is no such system file")
        return parse_system(path.read_text(encoding="utf-8"), name_or_path)
    known = list_systems()
    if name_or_path not in known:
        raise UserError(
            f"unknown system {name_or_path!r}{suggestion(name_or_path, known)}; there are {', '.join(known)}"
        )
    source = resources.files("mlops.systems").joinpath(f"{name_or_path}.yaml")
    return parse_system(source.read_text(encoding="utf-8"), f"{name_or_path}.yaml")


def parse_system(text: str, where: str) -> SystemSpec:
    """Read and check a system's YAML. `where` names the file in errors."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        says = getattr(error, "problem", None) or str(error)
        raise UserError(f"{where}{line}: not valid YAML: {says}; mend that line") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: holds no mapping of a system's keys; see `mlops systems` for examples")
    spec: SystemSpec = checked(SystemSpec, content, where)
    for part, changes in [(f"variants.{name}", v) for name, v in spec.variants.items()] + [
        ("demo", spec.demo)
    ]:
        checked(type(spec.recipe), {**spec.recipe.model_dump(), **changes}, f"{where}: {part}")
    check_space(spec, where)
    refuse_without_effect(spec, set(spec.space), where)
    return spec


def checked(model: type[BaseModel], content: dict[str, Any], where: str) -> Any:
    """`content` as `model`. Raises BadSetting for the first thing that cannot be."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadSetting(where, key, _given(first), _allowed(first, model, content)) from error


def suggestion(given: str, known: tuple[str, ...] | list[str]) -> str:
    """`, did you mean X?` where one of `known` is close to `given`."""
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def _given(problem: Any) -> object:
    return "missing" if problem["type"] == "missing" else problem["input"]


def _allowed(problem: Any, model: type[BaseModel], content: dict[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        inside = model
        if problem["loc"][0] == "recipe":
            inside = RECIPE_OF_TASK.get(str(content.get("task")), model)
        known = list(inside.model_fields)
        return f"no such key{suggestion(str(problem['loc'][-1]), known)} Keys: {', '.join(known)}"
    return str(problem["msg"])
