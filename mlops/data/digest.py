"""SHA-256 over the content of a data set, quick on the second call."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlops.data.filecache import FileCache, FileKey
from mlops.data.progress import counted


def file_digests(files: Sequence[Path], cache: Path) -> dict[Path, str]:
    """SHA-256 (hex) of each file; only those that changed since the last call are read. Raises OSError."""
    unique = list(dict.fromkeys(files))
    keys = [FileKey.of(file) for file in unique]
    remembered = FileCache(cache, "digests")
    known = remembered.known(keys)
    unknown = [key for key in keys if key not in known]
    if unknown:
        with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 2)) as pool:
            paths = [key.path for key in unknown]
            digests = counted(pool.map(sha256_of, paths), len(paths), "Taking the digest")
            hashed = list(zip(unknown, digests, strict=True))
        remembered.remember(hashed)
        known.update(hashed)
    return {file: known[key] for file, key in zip(unique, keys, strict=True)}


def content_digest(files: Sequence[Path], root: Path, cache: Path, facts: Iterable[str] = ()) -> str:
    """SHA-256 (hex) over every file's name relative to `root` and its content, in whatever order they come.

    It is the SHA-256 of the sorted lines `name NUL sha256-of-content` and `facts` (what training knows beside
    the files: class names, which picture is in which split), each ended by a newline. So the same set copied
    to another place has the same digest, and one byte or one name changed has another.
    """
    digests = file_digests(files, cache)
    lines = [f"{relative_name(file, root)}\0{sha256}" for file, sha256 in digests.items()]
    return digest_of_lines([*lines, *facts])


def digest_of_lines(lines: Iterable[str]) -> str:
    total = hashlib.sha256()
    for line in sorted(lines):
        total.update(line.encode() + b"\n")
    return total.hexdigest()


def relative_name(file: Path, root: Path) -> str:
    """A file's name relative to `root`, with `/`; it may begin with `..`."""
    return Path(os.path.relpath(file, root)).as_posix()


def sha256_of(path: str | Path) -> str:
    """SHA-256 (hex) of a file's content. Raises OSError."""
    with open(path, "rb") as stream:  # noqa: PTH123 (40,000 times)
        return hashlib.file_digest(stream, "sha256").hexdigest()
