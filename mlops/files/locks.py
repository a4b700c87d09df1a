"""Locks between processes and threads on this machine, each held on a file.

The kernel releases a lock when its process ends, however it ends. filelock (3.30 and later) closes the lock's
descriptor in forked children, so a data loader's worker that outlives its killed parent does not keep the
lock. Its fallback for file systems without flock is switched off: a marker file outlives its process.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ProcessLock:
    """A lock on `path` that one holder has at a time: one process, and within it one ProcessLock.

    Not held in a forked child: the child may use the same object to take the lock for itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._taken: FileLock | None = None

    @property
    def held(self) -> bool:
        return self._taken is not None and self._taken.is_locked

    def take(self, wait_s: float = 0) -> bool:
        """Take the lock unless it stays held elsewhere for `wait_s` seconds; negative waits without a limit.

        Raises OSError where the file cannot be made or opened.
        """
        if self.held:
            return True
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # filelock waits where this fails
        lock = FileLock(self._path, thread_local=False, fallback_to_soft=False)
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            return False
        self._taken = lock
        return True

    def release(self) -> None:
        if self._taken is not None:
            self._taken.release()
            self._taken = None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock on `path` and hold it. Raises OSError where the file cannot be made or opened."""
    lock = ProcessLock(path)
    lock.take(wait_s=-1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make `folder` where it is missing, wait until nobody else holds it, and hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        yield
