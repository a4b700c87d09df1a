"""How much memory this command may still use."""

from __future__ import annotations

from pathlib import Path

from mlops.machine.control_groups import PROC, group_folders, number_in


def available_bytes(proc: Path = PROC) -> int:
    """Memory that is free, or would be without file caches: of the machine, and within the limits of this
    process's control groups.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    return min(
        [free, *(left for each in group_folders("memory", proc) if (left := _left_in(each)) is not None)]
    )


def _left_in(folder: Path) -> int | None:
    """None for a group without a limit."""
    limit = number_in(folder / "memory.max") or number_in(folder / "memory.limit_in_bytes")
    used = number_in(folder / "memory.current") or number_in(folder / "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    return max(0, limit - used + _file_cache(folder))


def _file_cache(folder: Path) -> int:
    """Bytes that the kernel gives back when they are needed."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    stated = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(stated.get("total_inactive_file") or stated.get("inactive_file") or 0)
