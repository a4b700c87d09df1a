"""Read a system file into its typed class; an error has file, line, key, value and the allowed values."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mlops.errors import UserError
from mlops.files.limits import YAML_BYTES
from mlops.files.text_files import read_text, unquoted_if_link
from mlops.files.typed_yaml import did_you_mean, read_yaml
from mlops.systems.effect import refuse_without_effect
from mlops.systems.spec import SystemSpec
from mlops.systems.validation import check_space, checked


def list_systems() -> tuple[str, ...]:
    """Names of the built-in systems, sorted."""
    folder = resources.files("mlops.systems")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_system(name_or_path: str) -> SystemSpec:
    """A built-in system, or one from a user's YAML file.

    Raises UserError for an unknown name or an unreadable file, BadSetting for invalid content.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path).expanduser()
        text = _text(path, name_or_path)
        with unquoted_if_link(path, "system"):
            return parse_system(text, name_or_path)
    known = list_systems()
    if name_or_path not in known:
        raise UserError(
            f"unknown system {name_or_path!r}{did_you_mean(name_or_path, known)}: "
            f"use {', '.join(known)}, or your own YAML file"
        )
    source = resources.files("mlops.systems").joinpath(f"{name_or_path}.yaml")
    return parse_system(source.read_text(encoding="utf-8"), f"{name_or_path}.yaml")


def parse_system(text: str, where: str) -> SystemSpec:
    """Parse and check a system's YAML, with variants and demo. `where`: the file name for errors."""
    content, lines = read_yaml(text, where)
    spec = checked(SystemSpec, content, where, lines)
    changes = [(("variants", name), changed) for name, changed in spec.variants.items()]
    for under, changed in [*changes, (("demo",), spec.demo)]:
        checked(type(spec.recipe), {**spec.recipe.model_dump(), **changed}, where, lines, under)
    check_space(spec, where, lines)
    refuse_without_effect(spec, spec.space, where, lines)
    return spec


def _text(path: Path, where: str) -> str:
    try:
        return read_text(path, YAML_BYTES, UserError)
    except FileNotFoundError as error:
        raise UserError(
            f"{where}: the system file does not exist; list the built-in systems with `mlops systems`"
        ) from error
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from error
