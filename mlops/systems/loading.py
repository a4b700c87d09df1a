"""Read a system file into its typed class; an error names file, line, key, value and what is allowed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mlops.errors import UserError
from mlops.files.typed_yaml import did_you_mean, read_yaml
from mlops.systems.effect import refuse_without_effect
from mlops.systems.spec import SystemSpec
from mlops.systems.validation import check_space, checked


def list_systems() -> tuple[str, ...]:
    """Names of the systems that come with the product, in order."""
    folder = resources.files("mlops.systems")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_system(name_or_path: str) -> SystemSpec:
    """A system that comes with the product, or one declared in a YAML file of the user's.

    Raises UserError for a name that is unknown or a file that cannot be read, BadSetting for what it says.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return parse_system(_text(Path(name_or_path).expanduser(), name_or_path), name_or_path)
    known = list_systems()
    if name_or_path not in known:
        raise UserError(
            f"unknown system {name_or_path!r}{did_you_mean(name_or_path, known)}: "
            f"there are {', '.join(known)}, or a YAML file of your own"
        )
    source = resources.files("mlops.systems").joinpath(f"{name_or_path}.yaml")
    return parse_system(source.read_text(encoding="utf-8"), f"{name_or_path}.yaml")


def parse_system(text: str, where: str) -> SystemSpec:
    """Read and check a system's YAML, its variants and demo included. `where` names the file in errors."""
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
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"{where}: there is no such system file; `mlops systems` lists those built in"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: is no text in UTF-8; save it as that") from error
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from error
