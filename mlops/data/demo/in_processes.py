"""Draw images on all processors: each has a random generator of its own, so the order does not matter."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from mlops.machine.processors import most_threads

T = TypeVar("T")
_CHUNK = 16


def drawn(draw: Callable[[int], T], count: int) -> list[T]:
    """`draw(0)` to `draw(count - 1)`. draw: picklable."""
    processes = min(most_threads(), count // (2 * _CHUNK))
    if processes < 2:
        return [draw(number) for number in range(count)]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(draw, range(count), chunksize=_CHUNK))
