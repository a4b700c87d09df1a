"""A past run as plain values, with the metric names of this product."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["FINISHED", "FAILED", "KILLED"]
Source = Literal["ultralytics", "history"]


@dataclass(frozen=True, slots=True)
class PastRow:
    """One epoch of a file; missing values are None.

    epoch: counted from 1. elapsed_s: since training started or was last resumed. at_ms: when it ended, ms
    since 1970. metrics: with the names of this product; may be NaN.
    """

    epoch: int
    metrics: Mapping[str, float]
    elapsed_s: float | None = None
    epoch_s: float | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The epochs of a file, in order, without duplicates; and warnings about ignored content."""

    rows: tuple[PastRow, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PastEpoch:
    """One finished epoch. at_ms: when it ended, ms since 1970."""

    epoch: int
    at_ms: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run of another tool.

    params: typed, with a recipe's names if it has them (`image_size`, `freeze_layers`).
    ended: the reason for the status, one sentence.
    files: file -> artifact folder.
    identity: unchanged when the run grows; see `read_past_run`. digest: over all that would be recorded.
    """

    name: str
    source: Source
    path: Path
    params: Mapping[str, object]
    epochs: tuple[PastEpoch, ...]
    status: Status
    ended: str
    started_ms: int
    ended_ms: int
    files: Mapping[Path, str]
    identity: str
    digest: str
    warnings: tuple[str, ...] = ()

    def best(self) -> PastEpoch | None:
        """The epoch with the highest `score`, the first of equals; None where none has one."""
        number = best_epoch({epoch.epoch: epoch.metrics for epoch in self.epochs})
        return next((epoch for epoch in self.epochs if epoch.epoch == number), None)


HEADLINES = ("val/mAP50-95", "val/macro_f1", "val/accuracy", "val/mAP50")


def score(metrics: Mapping[str, float]) -> float | None:
    """The figure that chooses the best epoch, higher is better: the first of HEADLINES that is there, else
    the validation loss with its sign turned; None without one, or where it is NaN.
    """
    for name in HEADLINES:
        if name in metrics:
            return None if math.isnan(metrics[name]) else metrics[name]
    loss = metrics.get("val/loss", math.nan)
    return None if math.isnan(loss) else -loss


def best_epoch(metrics: Mapping[int, Mapping[str, float]]) -> int | None:
    """Of epochs with their metrics: the first with the highest score; None where none has one."""
    scores = {epoch: value for epoch, each in metrics.items() if (value := score(each)) is not None}
    return max(scores, key=lambda epoch: (scores[epoch], -epoch), default=None)
