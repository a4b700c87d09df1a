"""What an epoch's steps amount to, under the names that a run is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1


@dataclass(slots=True)
class Figures:
    """Sums over one epoch's optimizer steps; every step weighs the same."""

    tasks: tuple[str, ...]
    _means: dict[str, _Mean] = field(default_factory=dict)

    def add(self, names: str, values: Sequence[float] | None) -> None:
        """One step's values, one a task; `names` holds a `{}` for the task."""
        if values is not None:
            for task, value in zip(self.tasks, values, strict=True):
                self._means.setdefault(names.format(task), _Mean()).add(value)

    def taken(self) -> dict[str, float]:
        """The means, with shares in place of the weighted losses."""
        means = {name: mean.total / mean.count for name, mean in self._means.items()}
        return _with_shares(means, self.tasks)


LOSS = "train/{}_loss"
WEIGHT = "balance/weight/{}"
SHARE = "balance/share/{}"
INVERSE_RATE = "balance/inverse_rate/{}"
GRADIENT_NORM = "balance/grad_norm/{}"


def _with_shares(means: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """Each task's part of the weighted sum; equal parts of a sum of zero."""
    parts = [means.get(SHARE.format(task), 0.0) for task in tasks]
    whole = sum(parts)
    shares = {
        SHARE.format(task): part / whole if whole else 1 / len(tasks)
        for task, part in zip(tasks, parts, strict=True)
    }
    return {**means, **shares} if means else {}
