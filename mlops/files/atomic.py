"""Atomic writes: a file or folder is either the old or the new one, whatever happens."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Existing = Literal["keep", "replace", "refuse"]


def write_durably(file: Path, content: bytes) -> None:
    """Replace `file` by `content`: on disk, complete, or not at all."""
    with partial_file(file) as partial:
        partial.write_bytes(content)


@contextmanager
def partial_file(file: Path) -> Iterator[Path]:
    """A path beside `file` to write to, which takes `file`'s place at the end of the block (`move_durably`).

    For one writer at a time: the path is always the same, so what a killed process left is written over.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        yield partial
        move_durably(partial, file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def move_durably(source: Path, target: Path) -> None:
    """Put `source` in `target`'s place after its content has reached the disk."""
    sync(source)
    source.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Return once a file's content, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """`sync` for everything below `folder`, and `folder`."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def new_folder(target: Path, existing: Existing) -> Iterator[Path]:
    """An empty folder beside `target` to write into; at the end of the block it takes `target`'s place, as
    `move_folder` does. Nothing is left of it when the block raises.
    """
    target = target.absolute()
    with folder_beside(target) as work:
        yield work
        move_folder(work, target, existing)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """An empty folder in `target`'s parent, which is made where it is missing.

    Removed at the end of the block, unless it was moved. A killed process leaves it, under a name that starts
    with a dot.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    work.mkdir()  # with the permissions that any folder of the user's gets; mkdtemp's is for its owner alone
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def move_folder(work: Path, target: Path, existing: Existing) -> None:
    """Move `work`, a folder beside `target`, to `target` in one step; an empty folder there is replaced.

    existing: what happens to a folder that holds something. "keep": it stays, and `work` is not moved (for
    caches, where both are the same). "replace": it is moved aside before and removed afterwards; a kill in
    between leaves it beside `target`. "refuse": raises OSError. Of two processes that replace a folder at the
    same time, one prevails.
    Raises OSError where `target` is a file, or cannot be written; what was at `target` is still there.
    """
    target = target.absolute()
    try:
        work.rename(target)
    except OSError:
        if existing == "refuse" or not target.is_dir():
            raise
        if existing == "replace":
            _replace_folder(work, target)


def _replace_folder(work: Path, target: Path) -> None:
    with folder_beside(target) as aside:
        with suppress(FileNotFoundError):  # another process has just moved it aside
            target.rename(aside / target.name)
        try:
            move_folder(work, target, "keep")
        except OSError:
            with suppress(FileNotFoundError):
                (aside / target.name).rename(target)
            raise
