"""Locks between processes on this machine; the kernel releases them when the process ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_held_here: set[str] = set()
_guard = threading.Lock()


class OnlyOne:
    """A record lock (fcntl) on a file, which also excludes other threads of this process.

    Unlike a flock, a record lock is not inherited by forked workers: a data loader's worker that outlives its
    killed parent must not block the next process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = str(path.resolve())
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def take(self) -> bool:
        """Take the lock if it is free; never waits."""
        if self._fd is not None:
            return True
        with _guard:
            if self._name in _held_here:
                return False
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                os.close(fd)
                return False
            _held_here.add(self._name)
            self._fd = fd
            return True

    def give_back(self) -> None:
        with _guard:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
                _held_here.discard(self._name)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Wait for the lock on `path` and hold it."""
    lock = OnlyOne(path)
    while not lock.take():
        time.sleep(0.05)
    try:
        yield
    finally:
        lock.give_back()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait for the lock of `folder` and hold it; creates the folder if missing.

    The kernel releases the lock when the process ends. Threads of one process also exclude each other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
