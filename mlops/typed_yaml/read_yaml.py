"""A YAML file with the line of every key, so that an error can point at it."""

from __future__ import annotations

from typing import Any, TypeAlias

import yaml

from mlops.errors import UserError

Path: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[Path, int]

# what PyYAML raises for a value that is none, as 2026-13-45, or !!bool x
NO_VALUE = (ValueError, KeyError, AttributeError, IndexError)
NO_YAML = (yaml.YAMLError, RecursionError, *NO_VALUE)  # and for any other text that it cannot make values of


def read_yaml(text: str, where: str) -> tuple[dict[str, Any], Lines]:
    """The mapping that `text` holds, and the line (from 1) at which each key's path stands.

    Raises UserError for what is no YAML, no mapping, or gives a key twice (YAML keeps the last silently).
    """
    lines: Lines = {}
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is not None:
            _walk(root, (), lines, where)
        content = loader.construct_document(root) if root is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        says = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{where}{line}: not valid YAML: {says}; mend that line") from error
    except NO_VALUE as error:
        raise UserError(f"{where}: not valid YAML: {error}; mend that value") from error
    except RecursionError as error:
        says = "nested too deeply, or an alias (*) stands inside its own anchor (&)"
        raise UserError(f"{where}: {says}; write it out") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: holds no mapping; write lines of `key: value`")
    return content, lines


def _walk(node: yaml.Node, path: Path, lines: Lines, where: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, where)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        here = (*path, str(key.value))
        line = key.start_mark.line + 1
        if here in lines and here[-1] != "<<":
            name = ".".join(str(part) for part in here)
            raise UserError(
                f"{where}:{line}: {name} is given a second time (first in line {lines[here]}); keep one"
            )
        lines[here] = line
        _walk(value, here, lines, where)
