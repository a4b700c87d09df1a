"""Location and name of the data that a user passes: on this machine or in an object store."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path, PurePosixPath

from mlops.data.readers.detect import is_file_of_a_set, name_of_file, source_name

_OBJECT_STORE = "s3://"
_STANDS_ALONE = ".npz"


def is_remote(path: str) -> bool:
    return path.startswith(_OBJECT_STORE)


def name_of(path: str) -> str:
    """A source's name in class maps and reports: a folder's name, or a file's without its suffix."""
    if not is_remote(path):
        return source_name(Path(path))
    place = PurePosixPath(path.removeprefix(_OBJECT_STORE))
    return name_of_file(place) if is_file_of_a_set(place) else place.name


def names_of(paths: Sequence[str]) -> list[str]:
    """The name of each; the second of the same name is NAME-2, or the next free number.

    >>> names_of(["a/cells", "b/cells"])
    ['cells', 'cells-2']
    >>> names_of(["a/cells", "b/cells", "cells-2"])
    ['cells', 'cells-2', 'cells-2-2']
    """
    names: list[str] = []
    for name in map(name_of, paths):
        numbered = (f"{name}-{number}" for number in count(2))
        names.append(name if name not in names else next(each for each in numbered if each not in names))
    return names


def as_recorded(path: str) -> str:
    """`path` made absolute; an address in an object store is unchanged."""
    return path if is_remote(path) else str(Path(path).absolute())


def local_path(path: str, cache: Path) -> Path:
    """The local path; data in an object store are fetched into the cache.

    A data.yaml, COCO file or table is fetched with everything beside it, since it refers to files there.
    Raises DataFault if it cannot be fetched.
    """
    if not is_remote(path):
        return Path(path)
    from mlops.data.remote.fetch import fetch

    place = PurePosixPath(path.removeprefix(_OBJECT_STORE))
    if is_file_of_a_set(place) and place.suffix.lower() != _STANDS_ALONE and len(place.parts) > 1:
        return fetch(f"{_OBJECT_STORE}{place.parent}", cache) / place.name
    return fetch(path, cache)
