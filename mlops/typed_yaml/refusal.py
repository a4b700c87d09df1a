"""The parts of an error that points into a file: where, what was given, which keys there are."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.typed_yaml.allowed import did_you_mean
from mlops.typed_yaml.read_yaml import Lines, Path


class Missing:
    """What was given for a key that is not there."""

    def __repr__(self) -> str:
        return "missing"


def where_at(where: str, path: Path, lines: Lines | None) -> str:
    """`file.yaml:12` where the line of `path`, or of what it stands in, is known."""
    for length in range(len(path), 0, -1):
        if lines and path[:length] in lines:
            return f"{where}:{lines[path[:length]]}"
    return where


def no_such_key(given: str, known: Iterable[str]) -> str:
    """What to say of a key that is not one of `known`."""
    known = tuple(known)
    return f"only these keys{did_you_mean(given, known)}: {', '.join(known)}"
