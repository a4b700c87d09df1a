"""Folders and files that only their owner may read: the outbox, logs, studies and caches."""

from __future__ import annotations

import os
import stat
from pathlib import Path

PRIVATE = 0o700
_OTHERS = 0o077
HOME_NAME = ".mlops"
# what `mlops` makes in its home, beside `deliver-*.lock`
_HOME_CONTENT = ("cache", "outbox.db", "outbox.db-shm", "outbox.db-wal", "server.log", "spool", "studies")


def private_folder(folder: Path) -> Path:
    """Make `folder` for its owner alone, whatever the umask; one that exists is closed to others.

    Missing parents get the permissions that any folder of the user gets. A folder of another user keeps its
    permissions.
    """
    made = new_private_folder(folder)
    if not made and is_open_to_others(folder) and folder.stat().st_uid == os.getuid():
        folder.chmod(PRIVATE)
    return folder


def new_private_folder(folder: Path) -> bool:
    """As `private_folder`, but one that exists keeps its permissions. Returns whether it was missing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(PRIVATE)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return False
    folder.chmod(PRIVATE)  # a umask may have taken rights of the owner, too
    return True


def private_home(home: Path) -> Path:
    """As `private_folder`, for the home of outbox and caches.

    A folder that exists is closed to others only if it is `.mlops`, or has nothing in it but what `mlops`
    makes there, and is not the working directory or above it: MLOPS_HOME may name a folder with other uses.
    """
    if home.is_dir() and not _is_ours(home):
        return home
    return private_folder(home)


def private_file(file: Path) -> None:
    """Make `file`, or empty it, and let only its owner read it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def is_open_to_others(path: Path) -> bool:
    """Whether other users of this machine may read, change or enter `path`."""
    return bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS)


def _is_ours(home: Path) -> bool:
    home = home.resolve()
    if Path.cwd().is_relative_to(home) or Path.home().is_relative_to(home):
        return False
    return home.name == HOME_NAME or all(_is_home_content(each.name) for each in home.iterdir())


def _is_home_content(name: str) -> bool:
    return name in _HOME_CONTENT or (name.startswith("deliver-") and name.endswith(".lock"))
