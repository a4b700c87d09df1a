"""Which epoch's weights a run kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.analysis.epochs import best_epoch, mean_of
from mlops.reports.document import Source
from mlops.reports.names import fitness_keys

if TYPE_CHECKING:
    from mlops.reports.facts import RunFacts

_KEPT = "best/epoch"


def best_of(run: RunFacts) -> tuple[int, Source] | None:
    """The epoch that the training itself named, else the one with the highest fitness; and where it was read.

    None for a run that validated nothing.
    """
    named = run.latest.get(_KEPT)
    if named is not None and named in run.epochs:
        return int(named), Source(run.run_id, "metric", _KEPT, "0")
    keys = fitness_keys(run)
    best = best_epoch(mean_of([run.curves[key] for key in keys])) if keys else None
    return (best, Source(run.run_id, "metric", keys[0], str(best))) if best is not None else None
