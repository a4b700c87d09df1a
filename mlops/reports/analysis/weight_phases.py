"""The ratio of task weights with GradNorm (Chen et al., ICML 2018) and its phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

QUICK, STABLE = 0.25, 0.05  # distance of the ratio from its last value, as a fraction of it
SETTLED = 0.2  # of the steps, at least, within STABLE


@dataclass(frozen=True, slots=True)
class WeightPhase:
    """Steps `first` to `last`; name: "quick search", "fine adjustment" or "stable"."""

    name: str
    first: int
    last: int
    start: float
    end: float


def weight_phases(steps: Sequence[int], ratios: Sequence[float]) -> tuple[WeightPhase, ...]:
    """The phases of the ratio of two weights over time, without empty ones.

    Quick search lasts while the ratio differs by more than 25 % from its final value, fine adjustment while
    it differs by more than 5 %; the rest is stable. A rest of less than a fifth of the steps is not stable,
    but belongs to the previous phase.
    """
    kept = [(s, r) for s, r in zip(steps, ratios, strict=True) if math.isfinite(r) and r > 0]
    if len(kept) < 3:
        return ()
    final = kept[-1][1]
    away = [abs(ratio - final) / final for _, ratio in kept]
    quick_ends = _last_above(away, QUICK)
    fine_ends = _last_above(away, STABLE)
    if len(kept) - fine_ends < SETTLED * len(kept):
        quick_ends = len(kept) if quick_ends == fine_ends else quick_ends
        fine_ends = len(kept)
    limits = (
        ("quick search", 0, quick_ends),
        ("fine adjustment", quick_ends, fine_ends),
        ("stable", fine_ends, len(kept)),
    )
    return tuple(_phase(name, kept, a, b) for name, a, b in limits if b > a)


def _last_above(away: Sequence[float], limit: float) -> int:
    """The index after the last value above `limit`."""
    return max((i + 1 for i, each in enumerate(away) if each > limit), default=0)


def _phase(name: str, kept: Sequence[tuple[int, float]], begin: int, end: int) -> WeightPhase:
    return WeightPhase(name, kept[begin][0], kept[end - 1][0], kept[begin][1], kept[end - 1][1])


def in_words(ratio: float) -> str:
    """
    >>> in_words(15.2), in_words(0.4), in_words(1.37)
    ('15:1', '1:2.5', '1.4:1')
    """
    big = ratio if ratio >= 1 else 1 / ratio
    text = f"{big:.0f}" if big >= 10 else f"{big:.1f}"
    return f"{text}:1" if ratio >= 1 else f"1:{text}"
