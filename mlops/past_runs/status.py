"""Infer how a past run ended, and when its epochs did, from its files.

When epochs ended:
1. Timestamps in the file are used.
2. Else the file's seconds (`time` of results.csv, restarted at each resumption) are added to the start.
3. Else the epochs are spread evenly between start and end, without a duration.

The start is the given one; else the time of args.yaml; else, or if a copy has lost that time, the end
minus the seconds in the table. The end is the modification time of the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlops.past_runs.past_run import PastRow, Status, best_epoch


@dataclass(frozen=True, slots=True)
class Ending:
    status: Status
    why: str


@dataclass(frozen=True, slots=True)
class Left:
    """The other files of a run.

    asked: requested epochs, None if unknown. patience: 0 for none. best_weights: None if the tool stores them
    elsewhere.
    """

    asked: int | None
    patience: int
    best_weights: bool | None
    evaluated: bool


def how_it_ended(rows: Sequence[PastRow], left: Left) -> Ending:
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


_SLACK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Timing:
    """ends_ms, seconds: for each row; seconds: None if the duration is unknown."""

    started_ms: int
    ends_ms: tuple[int, ...]
    seconds: tuple[float | None, ...]
    warnings: tuple[str, ...] = ()

    @property
    def ended_ms(self) -> int:
        return max((self.started_ms, *self.ends_ms))


def timing_of(
    rows: Sequence[PastRow], *, given_ms: int | None, began_ms: int | None, written_ms: int
) -> Timing:
    """given_ms: the start that somebody named. began_ms: args.yaml's time, None without one. written_ms: the
    table's.
    """
    seconds = seconds_of(rows)
    passed = _passed(rows, seconds)
    if rows and all(row.at_ms is not None for row in rows):
        ends = tuple(int(row.at_ms or 0) for row in rows)
        first = ends[0] - int(1000 * (seconds[0] or 0))
        return Timing(min(given_ms if given_ms is not None else first, ends[0]), ends, seconds)
    total_ms = int(1000 * passed[-1]) if passed else 0
    started = given_ms
    if started is None and began_ms is not None and began_ms + total_ms <= written_ms + _SLACK_MS:
        started = began_ms
    if started is None:
        started = written_ms - total_ms
    if passed or not rows:
        return Timing(started, tuple(started + int(1000 * each) for each in passed), seconds)
    span_ms = max(written_ms - started, len(rows))
    ends = tuple(started + span_ms * (i + 1) // len(rows) for i in range(len(rows)))
    return Timing(
        started, ends, seconds, ("the duration of epochs is unknown: their times are spread evenly",)
    )


def seconds_of(rows: Sequence[PastRow]) -> tuple[float | None, ...]:
    """The duration of each epoch, if the rows contain it.

    >>> seconds_of([PastRow(i, {}, elapsed_s=at) for i, at in enumerate((10.0, 18.0, 9.0), start=1)])
    (10.0, 8.0, 9.0)
    """
    lengths: list[float | None] = []
    before: PastRow | None = None
    for row in rows:
        length = row.epoch_s
        if length is None and row.elapsed_s is not None:
            if before is None or (before.elapsed_s is not None and row.elapsed_s < before.elapsed_s):
                length = row.elapsed_s if before is not None or row.epoch == 1 else None  # started or resumed
            elif before.elapsed_s is not None and row.epoch == before.epoch + 1:
                length = row.elapsed_s - before.elapsed_s
        lengths.append(length)
        before = row
    return tuple(lengths)


def _passed(rows: Sequence[PastRow], lengths: Sequence[float | None]) -> list[float]:
    """Seconds from the start to each row's end; empty if a row does not contain it."""
    passed: list[float] = []
    before: PastRow | None = None
    for row, length in zip(rows, lengths, strict=True):
        so_far = passed[-1] if passed else 0.0
        if row.elapsed_s is None and length is None:
            return []
        if row.elapsed_s is None or before is None or before.elapsed_s is None:
            passed.append(so_far + (length if length is not None else row.elapsed_s or 0.0))
        else:
            grown = row.elapsed_s - before.elapsed_s
            passed.append(so_far + (grown if grown >= 0 else row.elapsed_s))
        before = row
    return passed
