"""Where Linux states the limits of a container: its control groups, of version 1 and 2.

`joblib.cpu_count` and the like read the top group alone, which in a slice of systemd or in a nested container
is not the one that binds.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PROC = Path("/proc/self")


def group_folders(controller: str, proc: Path = PROC) -> list[Path]:
    """Folders of this process's groups that have the controller (`cpu`, `memory`): its own and those above
    it, as far as they are mounted. Empty without control groups.
    """
    try:
        groups = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    found = []
    for line in groups:  # "2:cpu,cpuacct:/group" of version 1, "0::/group" of version 2
        _, controllers, group = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            found += _mounted(group, controller if controllers else "", mounts)
    return found


def _mounted(group: str, controller: str, mounts: list[str]) -> list[Path]:
    for line in mounts:  # "31 23 0:28 /root /mount/point rw - cgroup2 source options"
        where, _, what = line.partition(" - ")
        kind, _, options = (*what.split(" "), "", "")[:3]
        if kind != ("cgroup" if controller else "cgroup2"):
            continue
        if controller and controller not in options.split(","):
            continue
        root, mount = (_unescaped(part) for part in where.split(" ")[3:5])
        inside = os.path.relpath(group, root)
        folder = Path(mount) if inside.startswith("..") else Path(mount, inside)
        return [each for each in (folder, *folder.parents) if each.is_relative_to(mount)]
    return []


def _unescaped(path: str) -> str:
    """Spaces are `\\040` in the table of mounts."""
    return re.sub(r"\\([0-7]{3})", lambda escaped: chr(int(escaped[1], 8)), path)


def number_in(file: Path) -> int | None:
    """The number that a file of a group begins with; None for "max", or without the file."""
    try:
        return int(file.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return None
