"""How many processors this command may use, and how many of them other work leaves free.

The numbers of threads of torch, ONNX Runtime, pools and loaders come from here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlops.machine.control_groups import PROC, group_folders, number_in

_THREADS, _OURS = "OMP_NUM_THREADS", "MLOPS_OMP_NUM_THREADS"
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
# libgomp's threads spin 300,000 turns where they wait for each other, which beside other processes takes the
# processor from the thread that they wait for. Without any, training alone becomes slower.
_SPINS = 20_000
_BUSY = 0.25  # a process that uses this share of a processor takes part in the division
_SHORTEST_S = 0.2  # of a measurement


@dataclass(frozen=True, slots=True)
class Processors:
    """machine: all processors. usable: those this process may run on. quota: processors' time a second that
    its control groups allow; None without a limit.
    """

    machine: int
    usable: int
    quota: float | None

    @property
    def threads(self) -> int:
        """The most threads that can run at once; a fraction of a quota is left to delivery and logging."""
        return self.usable if self.quota is None else max(1, min(self.usable, int(self.quota)))

    def __str__(self) -> str:
        """What is usable and why, e.g. `2 of 8 processors (quota of the control group: 2.5)`."""
        total = f"{self.machine} {'processor' if self.machine == 1 else 'processors'}"
        if self.threads == self.machine:
            return total
        limits = [f"affinity: {self.usable}"] if self.usable < self.machine else []
        limits += [f"quota of the control group: {self.quota:g}"] if self.quota is not None else []
        return f"{self.threads} of {total} ({', '.join(limits)})"


def processors() -> Processors:
    """What the machine, the affinity and the control groups (cgroup v1 and v2) give to this process now."""
    machine = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    return Processors(machine, usable, quota())


def quota(proc: Path = PROC) -> float | None:
    """The smallest quota of this process's control group and the groups above it, in processors."""
    quotas = (_quota_of(folder) for folder in group_folders("cpu", proc))
    return min((each for each in quotas if each is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    if (folder / "cpu.max").is_file():
        words = (folder / "cpu.max").read_text(encoding="utf-8").split()  # "max 100000": no limit
        allowed, period = (int(word) if word.isdecimal() else None for word in (*words, "", "")[:2])
    else:
        allowed, period = number_in(folder / "cpu.cfs_quota_us"), number_in(folder / "cpu.cfs_period_us")
    return allowed / period if allowed and period and allowed > 0 else None


# the environment of OpenMP


@cache
def prepare_environment() -> bool:
    """Bound the threads of OpenMP and BLAS libraries and shorten their spinning, in this process and its
    children. The user's own variables have priority.

    Returns False if torch was imported before the first call, as it reads them once.
    """
    if users_threads() is None:
        os.environ[_THREADS] = os.environ[_OURS] = str(most_threads())
    if not any(name in os.environ for name in _WAITING):
        os.environ["GOMP_SPINCOUNT"] = str(_SPINS)
    return "torch" not in sys.modules


def remove_own_threads() -> None:
    """Take our number out of the environment again, for child processes whose starter chooses one."""
    if users_threads() is None:
        for name in (_THREADS, _OURS):
            os.environ.pop(name, None)


def users_threads() -> int | None:
    """The number of threads that the user chose by OMP_NUM_THREADS; None if it is ours to choose."""
    return None if os.environ.get(_THREADS) == os.environ.get(_OURS) else _threads()


def _threads() -> int | None:
    text = os.environ.get(_THREADS, "").partition(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def environment_of_part(parts: int) -> dict[str, str]:
    """Variables for one of `parts` processes that share this command's threads."""
    if users_threads() is not None:
        return {}
    share = str(max(1, most_threads() // parts))
    return {_THREADS: share, _OURS: share}


def most_threads() -> int:
    """The most threads that this process may use at once: the user's number, else the limit of machine,
    container and share of `--parallel`.
    """
    if chosen := users_threads():
        return chosen
    given = processors().threads
    return min(given, _threads() or given)


# what others leave


class LoadMeter:
    """Measures what other work uses, from one call to the next."""

    def __init__(self) -> None:
        self._before = _Usage.now()

    def read(self) -> Load:
        """The load since the last call."""
        time.sleep(max(0.0, _SHORTEST_S - (time.monotonic() - self._before.at)))
        before, self._before = self._before, _Usage.now()
        return self._before.since(before)


def fair_threads(most: int, load: Load) -> int:
    """The number of threads of a command that may use `most`, at least 1.

    Of a machine with free processors it takes those. On a busy one it takes at least the share that equal
    treatment of all busy processes gives to it.

    >>> fair_threads(16, Load(others=0.1, processes=0)), fair_threads(16, Load(others=11.8, processes=12))
    (16, 4)
    >>> fair_threads(16, Load(others=16.0, processes=1)), fair_threads(2, Load(others=1.3, processes=4))
    (8, 1)
    """
    ours = most - load.children
    return max(1, min(most, int(max(ours - load.others, ours / (1 + load.processes)) + 0.5)))


@dataclass(frozen=True, slots=True)
class Load:
    """What other work used meanwhile.

    others: processors that other commands used, beyond those that our own limits leave to them.
    processes: number of their busy processes. children: processors in use by our own child processes.
    """

    others: float
    processes: int
    children: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether threads that spin would take processors from other work."""
        return self.others >= _BUSY


@dataclass(frozen=True, slots=True)
class _Usage:
    """Processor time (s) so far: of the machine, of this process and its ended children, of its children, and
    of each other process that it can see, by number and start time.
    """

    at: float
    machine: float
    own: float
    children: float
    others: Mapping[tuple[int, float], float]

    @classmethod
    def now(cls) -> _Usage:
        import psutil

        ours = psutil.Process()
        family = {child.pid for child in ours.children(recursive=True)}
        children, others = 0.0, {}
        for process in psutil.process_iter():
            try:
                spent = sum(process.cpu_times()[:2])
                if process.pid in family:
                    children += spent
                elif process.pid != ours.pid:
                    others[process.pid, process.create_time()] = spent
            except psutil.Error:  # ended meanwhile, or hidden from us
                continue
        whole = psutil.cpu_times()
        busy = sum(
            float(getattr(whole, kind, 0.0)) for kind in ("user", "nice", "system", "irq", "softirq", "steal")
        )
        return cls(time.monotonic(), busy, sum(ours.cpu_times()[:4]), children, others)

    def since(self, before: _Usage) -> Load:
        seconds = self.at - before.at
        children = max(0.0, self.children - before.children) / seconds
        used = (self.machine - before.machine - (self.own - before.own)) / seconds - children
        shares = [(time_s - before.others.get(key, 0.0)) / seconds for key, time_s in self.others.items()]
        hidden = max(0, round(used - sum(shares)))  # outside of our container
        unreachable = (os.cpu_count() or 1) - processors().threads  # by affinity or quota: free for others
        busy = sum(share >= _BUSY for share in shares) + hidden
        return Load(max(0.0, used - unreachable), busy, children)
