"""Table cells with one run's values and their sources, and the run's best epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.analysis.epoch_statistics import best_epoch, mean_of
from mlops.reports.document import Cell, ValueSource
from mlops.reports.metric_labels import fitness_keys, is_share

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import RunFacts, StoredFile

UNKNOWN = Cell("-")


def words(text: str) -> Cell:
    return Cell(text)


def size_of(run: RunFacts, file: StoredFile) -> Cell:
    """The size of one of the run's files."""
    return Cell(
        number_format.size(file.size_bytes),
        file.size_bytes,
        "read",
        (ValueSource(run.run_id, "file", file.path),),
    )


class Cells:
    """Creates the cells of `run`, with the digits for its metrics."""

    def __init__(self, run: RunFacts) -> None:
        self.run = run
        self.digits = number_format.digits_of(run)

    def epoch(self, step: int) -> Cell:
        """An epoch's number."""
        return Cell(str(step), float(step), "epoch")

    def at(self, key: str, step: int) -> Cell:
        """The metric `key` at `step`, or a dash."""
        curve = self.run.curve(key)
        value = curve.at(step) if curve else None
        if value is None:
            return UNKNOWN
        return Cell(self.text(key, value), value, "read", (self.source(key, str(step)),))

    def worked(self, text: str, value: float, rule: str, *sources: ValueSource) -> Cell:
        """A value calculated from others."""
        return Cell(text, value, rule, sources)

    def change(self, key: str, first: int, last: int) -> Cell:
        """The change of a metric: shares in points, others in percent of the first value."""
        curve = self.run.curve(key)
        before, after = (curve.at(first), curve.at(last)) if curve else (None, None)
        if before is None or after is None or not (math.isfinite(before) and math.isfinite(after)):
            return UNKNOWN
        source = self.source(key, f"{first},{last}")
        if is_share(key):
            text = number_format.points(after - before, self.digits.share)
            return Cell(text, after - before, "difference", (source,))
        if before == 0:
            return UNKNOWN
        change = (after - before) / before
        return Cell(number_format.percent(change), change, "change", (source,))

    def over(self, key: str, rule: str, value: float, text: str, steps: Sequence[int] = ()) -> Cell:
        """A statistic of the metric `key` over a range: mean, maximum, ..."""
        curve = self.run.curve(key)
        span = steps or (curve.steps if curve else ())
        return Cell(text, value, rule, (self.source(key, spanning(span)),))

    def param(self, key: str) -> Cell:
        """A setting, or a dash; an absolute path is shortened to its last part."""
        if key not in self.run.params:
            return UNKNOWN
        source = ValueSource(self.run.run_id, "param", key)
        return Cell(last_part(self.run.params[key]), rule="read", sources=(source,))

    def tag(self, key: str, most: int = 100) -> Cell:
        text = self.run.tags.get(key, "")
        return Cell(text[:most] or "-", rule="read", sources=(ValueSource(self.run.run_id, "tag", key),))

    def info(self, text: str, key: str, value: float | None = None) -> Cell:
        """MLflow's status and times of the run."""
        return Cell(text, value, "read", (ValueSource(self.run.run_id, "info", key),))

    def text(self, key: str, value: float) -> str:
        return number_format.shown(key, value, self.digits)

    def source(self, key: str, steps: str = "") -> ValueSource:
        return ValueSource(self.run.run_id, "metric", key, steps)


def spanning(steps: Sequence[int]) -> str:
    """
    >>> spanning([1, 2, 3]), spanning([4])
    ('1..3', '4')
    """
    if not steps:
        return ""
    return str(steps[0]) if len(steps) == 1 else f"{steps[0]}..{steps[-1]}"


def last_part(value: str) -> str:
    """The file name of an absolute path, as reports are passed on to others."""
    return value.rstrip("/").rpartition("/")[2] if value.startswith("/") else value


_KEPT = "best/epoch"


def best_of(run: RunFacts) -> tuple[int, ValueSource] | None:
    """The best epoch recorded by the training, else the one with the highest fitness; and its source.

    None for a run without validation.
    """
    named = run.latest.get(_KEPT)
    if named is not None and named in run.epochs:
        return int(named), ValueSource(run.run_id, "metric", _KEPT, "0")
    keys = fitness_keys(run)
    best = best_epoch(mean_of([run.curves[key] for key in keys])) if keys else None
    return (best, ValueSource(run.run_id, "metric", keys[0], str(best))) if best is not None else None
