"""Read metric histories of many runs.

MLflow's client reads one metric of one run per request. Its server and its database store can also return one
metric of a hundred runs (used by the UI's charts); for other stores, each run is one request.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.store.mlflow_internals import histories_in_bulk, is_server

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric's history, one value per step, steps ascending; values may be NaN or infinite.

    times_ms: when each was logged, ms since 1970.
    """

    key: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    times_ms: tuple[int, ...]

    def at(self, step: int) -> float | None:
        """The value at `step`; None without one."""
        return self.by_step().get(step)

    def by_step(self) -> dict[int, float]:
        return dict(zip(self.steps, self.values, strict=True))

    def finite(self) -> Curve:
        """Without NaN and infinity."""
        kept = [
            each
            for each in zip(self.steps, self.values, self.times_ms, strict=True)
            if math.isfinite(each[1])
        ]
        steps, values, times = zip(*kept, strict=True) if kept else ((), (), ())
        return Curve(self.key, tuple(steps), tuple(values), tuple(times))

    def between(self, first: int, last: int) -> Curve:
        """The part from step `first` to step `last`, both included."""
        kept = [i for i, step in enumerate(self.steps) if first <= step <= last]
        return Curve(
            self.key,
            tuple(self.steps[i] for i in kept),
            tuple(self.values[i] for i in kept),
            tuple(self.times_ms[i] for i in kept),
        )


_RUNS_AT_ONCE = 100  # both limits are the server's
_POINTS_AT_ONCE = 25_000
_REQUESTS_AT_ONCE = 8
_INFINITE = 1e308  # MLflow stores infinity as 1.797e308
_log = logging.getLogger(__name__)


def curves_of(client: MlflowClient, run_id: str, keys: Iterable[str]) -> dict[str, Curve]:
    """The curves `keys` of one run. Raises MLflow's errors."""
    wanted = tuple(keys)

    def fetch(key: str) -> list[Metric]:
        return list(client.get_metric_history(run_id, key))

    if is_server(client):
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            found = list(pool.map(fetch, wanted))
    else:
        found = [fetch(key) for key in wanted]
    return {
        key: curve_of(key, ((m.step, m.timestamp, m.value) for m in history))
        for key, history in zip(wanted, found, strict=True)
        if history
    }


def curves_of_many(client: MlflowClient, run_ids: Sequence[str], key: str) -> dict[str, Curve]:
    """The metric `key` of every run that has it, without runs that were deleted meanwhile."""
    found: dict[str, Curve] = {}
    for first in range(0, len(run_ids), _RUNS_AT_ONCE):
        found |= _curves(client, run_ids[first : first + _RUNS_AT_ONCE], key)
    return found


def _curves(client: MlflowClient, run_ids: Sequence[str], key: str) -> dict[str, Curve]:
    rows = histories_in_bulk(client, run_ids, key, _POINTS_AT_ONCE)
    if rows is None:
        return _one_by_one(client, run_ids, key)
    if len(rows) >= _POINTS_AT_ONCE:  # truncated, which MLflow does not report
        half = len(run_ids) // 2
        if not half:
            return _one_by_one(client, run_ids, key)
        return _curves(client, run_ids[:half], key) | _curves(client, run_ids[half:], key)
    points: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for row in rows:
        points[row["run_id"]].append((int(row["step"]), int(row["timestamp"]), float(row["value"])))
    return {run_id: curve_of(key, held) for run_id, held in points.items()}


def _one_by_one(client: MlflowClient, run_ids: Sequence[str], key: str) -> dict[str, Curve]:
    from mlflow.exceptions import MlflowException

    from mlops.store.refusals import is_missing

    found: dict[str, Curve] = {}
    for run_id in run_ids:
        try:
            curve = curves_of(client, run_id, [key]).get(key)
        except MlflowException as error:
            if not is_missing(error):
                raise
            _log.debug("run %s was deleted: %s", run_id, error)
            continue
        if curve is not None:
            found[run_id] = curve
    return found


def curve_of(key: str, points: Iterable[tuple[int, int, float]]) -> Curve:
    """(step, ms, value) in any order; the last logged value of a step counts."""
    held: dict[int, tuple[int, float]] = {}
    for step, at_ms, value in sorted(points, key=lambda point: (point[0], point[1])):
        held[step] = (at_ms, _as_logged(value))
    steps = tuple(held)
    return Curve(key, steps, tuple(held[s][1] for s in steps), tuple(held[s][0] for s in steps))


def _as_logged(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= _INFINITE else value
