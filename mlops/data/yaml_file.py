"""Read a YAML file of the user's; what is wrong with it is told in one line, with its line."""

from __future__ import annotations

from pathlib import Path

import yaml

from mlops.errors import DataFault


def read_yaml(file: Path) -> object:
    """What the file holds, as plain values. Raises DataFault where it is no YAML."""
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataFault(f"{file}:{line}: no YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataFault(f"{file}: no YAML: {' '.join(str(error).split())}") from error
