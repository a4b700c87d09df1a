"""How fast each task trains, against its own start and against the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


class Start:
    """The initial losses L_i(0): known beforehand, or the mean of the first so many losses above zero.

    A loss of zero, as a first batch without any object may give, says nothing of where a task starts.
    """

    def __init__(self, tasks: Sequence[str], known: Mapping[str, float], steps: int) -> None:
        self._steps = steps
        self._sums = [known.get(task, 0.0) * steps for task in tasks]
        self._counts = [steps if task in known else 0 for task in tasks]

    def see(self, losses: Sequence[float]) -> None:
        """One optimizer step's losses, finite."""
        for task, loss in enumerate(losses):
            if self._counts[task] < self._steps and loss > 0:
                self._sums[task] += loss
                self._counts[task] += 1

    def inverse_rates(self, losses: Sequence[float]) -> tuple[float, ...] | None:
        """r_i = (L_i / L_i(0)) / mean over tasks of the same: above 1 for a task that lags behind.

        None while a task's start is not known, and where every loss is zero. Source: Chen et al., section
        3.1.
        """
        if min(self._counts) < self._steps:
            return None
        left = [loss * self._steps / total for loss, total in zip(losses, self._sums, strict=True)]
        mean = math.fsum(left) / len(left)
        return tuple(value / mean for value in left) if mean > 0 else None

    def state_dict(self) -> dict[str, object]:
        return {"steps": self._steps, "sums": list(self._sums), "counts": list(self._counts)}

    def load_state_dict(self, state: Mapping[str, list[float]]) -> None:
        self._sums = [float(value) for value in state["sums"]]
        self._counts = [int(value) for value in state["counts"]]
