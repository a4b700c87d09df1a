"""Tell trials that end their process (out of memory, crash) from processes that somebody killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MOST = 2
_COUNTS, _BOOT = Path("/proc/vmstat"), Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """What is noted when a trial is begun or gone on with.

    epoch: the last one finished before. kills: the kernel's count, None where it has none. boot: since when
    it counts. deaths: in a row, without an epoch between them, each of them with the count risen.
    """

    epoch: int
    kills: int | None
    boot: str
    deaths: int = 0

    def noted(self) -> dict[str, object]:
        return asdict(self)


def start_now(epoch: int, before: Mapping[str, object] | None) -> ProcessStart:
    """The start of a trial after its `epoch`; before: what was noted of the start that came to no end."""
    return follow(before, epoch, _count(), _read(_BOOT))


def follow(before: Mapping[str, object] | None, epoch: int, kills: int | None, boot: str) -> ProcessStart:
    """Pure: `start_now` with the kernel's figures given."""
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
