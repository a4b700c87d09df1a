"""Latency and throughput of a session on this machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from registry.evidence.latency import device_name

if TYPE_CHECKING:
    from registry.export.formats.contract import Session

WARM_UP, BATCH = 10, 8


@dataclass(frozen=True, slots=True)
class Speed:
    """p50_ms, p95_ms: of `calls` calls with one image. per_second: images, in batches of `batch`.

    load: this machine's load average of the last minute; a value well above the number of cores means that
    other processes slowed the measurement down. The times exclude decoding and resizing.
    """

    device: str
    load: float
    calls: int
    p50_ms: float
    p95_ms: float
    batch: int
    per_second: float


def measure(session: Session, side: int, calls: int) -> Speed:
    """Time random images, after a warm-up."""
    entry = session.get_inputs()[0]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else BATCH
    load = os.getloadavg()[0]
    one = _times_ms(session, entry.name, (1, 3, side, side), calls)
    many = _times_ms(session, entry.name, (batch, 3, side, side), max(3, calls // batch))
    p50, p95 = np.percentile(one, (50, 95))
    return Speed(
        device=device_name(),
        load=round(load, 2),
        calls=calls,
        p50_ms=round(float(p50), 3),
        p95_ms=round(float(p95), 3),
        batch=batch,
        per_second=round(1000 * batch / float(np.median(many)), 1),
    )


def _times_ms(session: Session, name: str, shape: tuple[int, ...], calls: int) -> list[float]:
    feed = {name: np.random.default_rng(0).random(shape, dtype=np.float32)}
    for _ in range(WARM_UP if shape[0] == 1 else 2):
        session.run(None, feed)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - started) * 1000)
    return times
