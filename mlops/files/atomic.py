"""Atomic writes: a file or folder is either the old or the new one, whatever happens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_durably(file: Path, content: bytes) -> None:
    """Replace `file` by `content` atomically and flush it to disk."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content)
    move_durably(partial, file)


def move_durably(source: Path, target: Path) -> None:
    """Replace `target` by `source` after flushing its content to disk."""
    with source.open("rb") as handle:
        os.fsync(handle.fileno())
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
