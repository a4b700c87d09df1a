"""Find the bottleneck and the interruptions of a training."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.store.histories import Curve

BUSY_GPU, IDLE_GPU = 85.0, 70.0  # per cent of the time
BUSY_CPU = 85.0
FULL_MEMORY = 90.0  # per cent of it


@dataclass(frozen=True, slots=True)
class Use:
    """Means over the training in percent; None if not recorded. gpu_memory, memory: share at the peak."""

    cpu: float | None = None
    gpu: float | None = None
    gpu_memory: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Bottleneck:
    name: str
    says: str


def bottleneck(use: Use) -> Bottleneck | None:
    """The limiting part; None if nothing was recorded.

    A GPU that is busy most of the time is the limit. If it waits, data loading is too slow, because of a busy
    CPU, of storage, or of too few loading processes. Without a GPU the CPU does both.
    """
    if use.gpu is not None:
        return _with_gpu(use, use.gpu)
    if use.cpu is None:
        return None
    if use.memory is not None and use.memory >= FULL_MEMORY:
        return Bottleneck("memory", f"{use.memory:.0f} % of the machine's memory was in use at the peak")
    if use.cpu >= BUSY_CPU:
        return Bottleneck("CPU", f"the CPU was busy {use.cpu:.0f} % of the time, and no GPU was recorded")
    return Bottleneck(
        "waiting",
        f"the CPU was busy only {use.cpu:.0f} % of the time, and no GPU was recorded: "
        "loading, storage or too few threads",
    )


def _with_gpu(use: Use, gpu: float) -> Bottleneck:
    if gpu >= BUSY_GPU:
        return Bottleneck("GPU", f"the GPU was busy {gpu:.0f} % of the time: well used")
    if use.gpu_memory is not None and use.gpu_memory >= FULL_MEMORY:
        return Bottleneck(
            "GPU memory",
            f"{use.gpu_memory:.0f} % of the GPU's memory was in use, and it was busy {gpu:.0f} % of the time",
        )
    if gpu < IDLE_GPU and use.cpu is not None and use.cpu >= BUSY_CPU:
        return Bottleneck(
            "data loading",
            f"the GPU was busy {gpu:.0f} % of the time and the CPU {use.cpu:.0f} %: data loading is too slow",
        )
    if gpu < IDLE_GPU:
        cpu = "not recorded" if use.cpu is None else f"busy {use.cpu:.0f} %"
        return Bottleneck(
            "input",
            f"the GPU was busy {gpu:.0f} % of the time and the CPU {cpu}: storage, or too few workers",
        )
    return Bottleneck("none", f"the GPU was busy {gpu:.0f} % of the time: no single bottleneck")


@dataclass(frozen=True, slots=True)
class TrainingPause:
    """Time between two epochs that is not part of an epoch."""

    after: int
    before: int
    pause_s: float


def pauses(epoch_s: Curve, least_s: float = 60.0) -> tuple[TrainingPause, ...]:
    """Gaps longer than `least_s` and than two epochs, in which the training was interrupted."""
    if len(epoch_s.steps) < 2:
        return ()
    usual = statistics.median(epoch_s.values)
    found = []
    pairs = list(zip(epoch_s.steps, epoch_s.times_ms, epoch_s.values, strict=True))
    for (a, ended, _), (b, next_ended, seconds) in pairwise(pairs):
        gap = (next_ended - ended) / 1000 - seconds
        if b == a + 1 and gap > max(least_s, 2 * usual):
            found.append(TrainingPause(a, b, gap))
    return tuple(found)


def slow_epochs(epoch_s: Curve, factor: float = 1.5) -> Sequence[int]:
    """Epochs that took more than `factor` times the median, without the first one, which fills caches."""
    if len(epoch_s.values) < 4:
        return ()
    limit = factor * statistics.median(epoch_s.values)
    return [s for s, v in zip(epoch_s.steps[1:], epoch_s.values[1:], strict=True) if v > limit]
