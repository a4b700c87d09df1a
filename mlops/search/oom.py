"""Distinguish trials that kill their process (out of memory) from processes killed by a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MOST = 2
_COUNTS, _BOOT = Path("/proc/vmstat"), Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """The state noted when a trial is started or resumed.

    epoch: the last finished epoch. kills: the kernel's OOM kill count, None if unknown. boot: start of the
        count.
    deaths: consecutive process deaths without a finished epoch, each with an increased count.
    """

    epoch: int
    kills: int | None
    boot: str
    deaths: int = 0

    def noted(self) -> dict[str, object]:
        return asdict(self)


def start_now(epoch: int, before: Mapping[str, object] | None) -> ProcessStart:
    """The start of a trial after its `epoch`; before: the noted state of an unfinished start."""
    return follow(before, epoch, _count(), _read(_BOOT))


def follow(before: Mapping[str, object] | None, epoch: int, kills: int | None, boot: str) -> ProcessStart:
    """Pure: `start_now` with the kernel's values given."""
    if before is None:
        return ProcessStart(epoch, kills, boot)
    last = ProcessStart(**before)  # type: ignore[arg-type]  # written by `noted`
    known = kills is not None and last.kills is not None and last.boot == boot
    for_memory = known and (kills or 0) > (last.kills or 0)
    in_vain = last.epoch == epoch
    return ProcessStart(epoch, kills, boot, last.deaths + 1 if for_memory and in_vain else 0)


def _count() -> int | None:
    for line in _read(_COUNTS).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
