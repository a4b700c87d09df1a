"""How a past run ended, judged by what it left. The first rule that holds decides.

| what is there | status |
|---|---|
| no finished epoch | FAILED |
| a training loss of the last epoch that is NaN | FAILED |
| as many epochs as were asked for, or the number asked for is not known | FINISHED |
| the patience was reached: so many epochs since the best one | FINISHED |
| `results.png`, which Ultralytics draws after its final evaluation | FINISHED |
| fewer epochs than asked for, and no best weights | FAILED |
| fewer epochs than asked for | KILLED |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlops.imports.past import Row, Status, best_epoch


@dataclass(frozen=True, slots=True)
class Ending:
    status: Status
    why: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a run left beside its table.

    asked: epochs asked for, None where not known. patience: 0 for none. best_weights: None where the tool
    keeps them elsewhere.
    """

    asked: int | None
    patience: int
    best_weights: bool | None
    evaluated: bool


def how_it_ended(rows: Sequence[Row], left: Left) -> Ending:
    """See the table above."""
    if not rows:
        return Ending("FAILED", "no epoch was finished")
    done = rows[-1].epoch
    of = f"{done} of {left.asked} epochs"
    bad = [n for n, v in rows[-1].metrics.items() if n.startswith("train/") and math.isnan(v)]
    if bad:
        return Ending("FAILED", f"{bad[0]} is NaN in the last epoch, {done}")
    if left.asked is None:
        return Ending("FINISHED", f"{done} epochs; how many were asked for is not known")
    if done >= left.asked:
        return Ending("FINISHED", of)
    best = best_epoch({row.epoch: row.metrics for row in rows})
    if left.patience > 0 and best is not None and done - best >= left.patience:
        return Ending("FINISHED", f"{of}: the patience of {left.patience} was reached, the best was {best}")
    if left.evaluated:
        return Ending("FINISHED", f"{of}: the training ended by itself, its final evaluation is there")
    if left.best_weights is False:
        return Ending("FAILED", f"{of}, and there are no best weights")
    return Ending("KILLED", f"{of}: the training was stopped")
