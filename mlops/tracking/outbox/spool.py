"""Copies of accepted files, written to disk before their entry.

Hard links would not work, as checkpoints and `results.csv` are rewritten in place. If the file system can
share blocks (btrfs, XFS), the copy is a clone without cost.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.errors import DiskFull
from mlops.files.atomic import sync
from mlops.redaction import redact_recorded

if TYPE_CHECKING:
    from pathlib import Path

_FICLONE = 0x40049409  # linux/fs.h
_CHUNK_BYTES = 1 << 20
_NOTES, _LARGEST_NOTES_BYTES = (".json", ".log", ".md", ".toml", ".txt", ".yaml", ".yml"), 4 << 20
_ORPHAN_AGE_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """path: relative to the spool, `<id>/<name>`; sha256 of what was copied."""

    path: str
    sha256: str
    size_bytes: int


class Spool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def accept(self, source: Path, name: str | None = None) -> SpooledFile:
        """Copy `source`, byte for byte as it is now, and return once the copy is on disk.

        Only a secret in a file of settings or a log is replaced (`_NOTES`), for example in a run's args.yaml.

        Raises DiskFull (nothing is left behind) and OSError if the source cannot be read.
        """
        slot = uuid.uuid4().hex
        return self._accept_into(slot, source, name or source.name)

    def accept_folder(self, source: Path) -> tuple[str, list[SpooledFile]]:
        """Copy every file under `source`; returns the spool folder's name and its files."""
        slot = uuid.uuid4().hex
        inside = [(p, p.relative_to(source)) for p in sorted(source.rglob("*")) if p.is_file()]
        files = [p for p, name in inside if "__pycache__" not in name.parent.parts]
        return slot, [self._accept_into(slot, p, p.relative_to(source).as_posix()) for p in files]

    def path(self, spooled: str) -> Path:
        return self.folder / spooled

    def drop(self, spooled: str) -> None:
        """Delete a delivered file or folder."""
        shutil.rmtree(self.folder / spooled.split("/")[0], ignore_errors=True)

    def drop_orphans(self, named: set[str]) -> None:
        """Delete copies without an entry, left by killed processes, if they are a day old."""
        if not self.folder.is_dir():
            return
        oldest = time.time() - _ORPHAN_AGE_S
        for slot in self.folder.iterdir():
            if slot.name not in named and slot.stat().st_mtime < oldest:
                shutil.rmtree(slot, ignore_errors=True)

    def _accept_into(self, slot: str, source: Path, name: str) -> SpooledFile:
        target = self.folder / slot / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            digest, size = _copy_durably(source, target)
        except OSError as error:
            shutil.rmtree(self.folder / slot, ignore_errors=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise DiskFull(str(self.folder), f"{source.name} ({source.stat().st_size} bytes)") from error
            raise
        _sync_folders(target.parent, self.folder)
        return SpooledFile(f"{slot}/{name}", digest, size)


def _copy_durably(source: Path, target: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    public = _without_secrets(source)
    with source.open("rb") as reader, target.open("xb+") as writer:
        if public is not None:
            writer.write(public)
            digest.update(public)
            size = len(public)
        elif _clone(reader.fileno(), writer.fileno()):
            while chunk := writer.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        else:
            while chunk := reader.read(_CHUNK_BYTES):
                writer.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


def _without_secrets(source: Path) -> bytes | None:
    """The content without its secrets; None for a file that has none, or is no text of settings or a log."""
    if source.suffix.lower() not in _NOTES or source.stat().st_size > _LARGEST_NOTES_BYTES:
        return None
    try:
        text = source.read_bytes().decode()
    except UnicodeDecodeError:
        return None
    public = redact_recorded(text)
    return None if public == text else public.encode()


def _clone(source_fd: int, target_fd: int) -> bool:
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError:
        return False
    return True


def _sync_folders(folder: Path, top: Path) -> None:
    """fsync `folder` and its parents up to `top`, so that new names survive a power failure."""
    sync(folder)
    if folder != top:
        _sync_folders(folder.parent, top)
