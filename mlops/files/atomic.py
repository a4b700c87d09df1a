"""Atomic writes: a file or folder is either the old or the new one, whatever happens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_durably(file: Path, content: bytes) -> None:
    """Replace `file` by `content`: on disk, complete, or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content)
    move_durably(partial, file)


def move_durably(source: Path, target: Path) -> None:
    """Put `source` in `target`'s place after its content has reached the disk."""
    with source.open("rb") as handle:
        os.fsync(handle.fileno())
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
