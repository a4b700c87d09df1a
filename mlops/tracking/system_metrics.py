"""Record the machine's CPU, memory, disk, network and GPU metrics with a run.

MLflow's collectors measure; the values go through the outbox, so an outage loses none.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from mlops.errors import DiskFull
from mlops.tracking.run import Run

SERIES = "system"
_log = logging.getLogger(__name__)


class SystemMetricsRecorder:
    """Records `system/...` into `run` within a `with` block; steps continue those of an earlier recording.

    sample_s: seconds between two measurements. samples: number of measurements per recorded mean.
    """

    def __init__(self, run: Run, *, sample_s: float = 5.0, samples: int = 2) -> None:
        self._run, self._sample_s, self._samples = run, sample_s, samples
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="mlops system metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=2 * self._sample_s)

    def _record(self) -> None:
        monitors = _monitors()
        last = self._run.last_step(SERIES)
        step = 0 if last is None else last + 1
        while not self._stop.is_set():
            for _ in range(self._samples):
                for monitor in monitors:
                    monitor.collect_metrics()
                if self._stop.wait(self._sample_s):
                    break
            try:
                self._run.log_metrics(SERIES, step, _means(monitors))
            except DiskFull as full:
                _log.warning("recording of system metrics stopped: %s", full)
                return
            step += 1


def _means(monitors: Sequence[Any]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for monitor in monitors:
        figures.update({f"system/{name}": value for name, value in monitor.aggregate_metrics().items()})
        monitor.clear_metrics()
    return figures


def _monitors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    kinds: tuple[Any, ...] = (CPUMonitor, DiskMonitor, NetworkMonitor)
    gpu = _gpu_monitor()
    return [*(kind() for kind in kinds), DiskTraffic(), *([gpu] if gpu is not None else [])]


class DiskTraffic:
    """Disk reads and writes of the machine, in MB (10^6 bytes) per second since the last measurement."""

    def __init__(self) -> None:
        self._last = self._counters()
        self._found: list[tuple[float, float]] = []

    def collect_metrics(self) -> None:
        now, last = self._counters(), self._last
        if now is not None and last is not None and now[0] > last[0]:
            seconds = now[0] - last[0]
            self._found.append(((now[1] - last[1]) / 1e6 / seconds, (now[2] - last[2]) / 1e6 / seconds))
        self._last = now

    def aggregate_metrics(self) -> dict[str, float]:
        if not self._found:
            return {}
        read, written = (statistics.fmean(each) for each in zip(*self._found, strict=True))
        return {"disk_read_megabytes_per_second": read, "disk_write_megabytes_per_second": written}

    def clear_metrics(self) -> None:
        self._found = []

    @staticmethod
    def _counters() -> tuple[float, int, int] | None:
        """Time in seconds, bytes read and bytes written; None if the machine reports no disk."""
        import psutil

        counted = psutil.disk_io_counters()
        return None if counted is None else (time.monotonic(), counted.read_bytes, counted.write_bytes)


def _gpu_monitor() -> Any:
    """MLflow's NVIDIA collector, or None if it finds no GPU."""
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    kind: Any = GPUMonitor
    try:
        return kind()
    except (
        ImportError,
        OSError,
        RuntimeError,
    ) as error:  # ImportError: no nvidia-ml-py; RuntimeError: no driver
        _log.debug("no GPU metrics: %s", error)
    return None
