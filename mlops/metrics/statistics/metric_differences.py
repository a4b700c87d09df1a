"""A candidate against a baseline, metric by metric, from what both scored on the same resamples. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops.metrics.statistics.hypothesis_tests import holm, p_of_draws
from mlops.metrics.statistics.paired import Verdict, verdict_of
from mlops.metrics.statistics.resampling import Drawn, of_seeds

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """margin: non-inferiority margin, in the unit of the metrics."""

    draws: int = 2000
    seed: int = 0
    confidence: float = 0.95
    margin: float = 0.005


@dataclass(frozen=True, slots=True)
class FigureCompared:
    """One metric. difference: candidate minus baseline; relative: to the baseline, None if that is 0.

    baseline, candidate: on all samples, as mean over seeds; the standard deviations over seeds are None for
    one seed. low, high: the interval of the difference at the settings' confidence. p: two-sided, for no
    difference; adjusted: after Holm's correction in the metric's family. verdict: of the interval alone.
    holds: whether better or worse remains after the correction.
    """

    figure: str
    baseline: float
    candidate: float
    baseline_sd: float | None
    candidate_sd: float | None
    difference: float
    relative: float | None
    low: float
    high: float
    p: float
    adjusted: float
    verdict: Verdict
    holds: bool


@dataclass(frozen=True, slots=True)
class Undefined:
    """A metric that cannot be compared, and why."""

    figure: str
    why: str


def compare_figures(
    baseline: Sequence[Drawn], candidate: Sequence[Drawn], settings: ComparisonSettings, place: int = 1
) -> tuple[list[FigureCompared], list[Undefined]]:
    """Compare on every metric that both have. Each side is a configuration: its trainings, one per seed.

    place: number of the candidate, for independent random draws of its seeds.
    The result is not corrected yet: `adjusted` is `p` (see `corrected`).
    """
    one = of_seeds(baseline, (settings.seed, 1))
    other = of_seeds(candidate, (settings.seed, 1 + place))
    compared, undefined = [], []
    for figure in one.figures:
        if figure not in other.figures:
            undefined.append(Undefined(figure, "only the baseline has it"))
            continue
        (first, first_draws), (second, second_draws) = one.of(figure), other.of(figure)
        if not np.isfinite(first) or not np.isfinite(second):
            whose = "the baseline" if not np.isfinite(first) else "the candidate"
            undefined.append(Undefined(figure, f"it is undefined for {whose} (division by 0)"))
            continue
        low, high = interval(second_draws - first_draws, settings.confidence)
        p, verdict = p_of_draws(second_draws - first_draws), verdict_of(low, high, settings.margin)
        compared.append(
            FigureCompared(
                figure=figure,
                baseline=first,
                candidate=second,
                baseline_sd=_spread(baseline, figure),
                candidate_sd=_spread(candidate, figure),
                difference=second - first,
                relative=relative(first, second),
                low=low,
                high=high,
                p=p,
                adjusted=p,
                verdict=verdict,
                holds=verdict in ("better", "worse"),
            )
        )
    undefined += [Undefined(f, "only the candidate has it") for f in other.figures if f not in one.figures]
    return compared, undefined


def corrected(families: Sequence[Sequence[FigureCompared]], alpha: float) -> list[list[FigureCompared]]:
    """Holm's correction over all metrics of all `families` (one per candidate)."""
    adjusted = iter(holm([each.p for family in families for each in family]))
    return [
        [
            replace(each, adjusted=(after := next(adjusted)), holds=each.holds and after <= alpha)
            for each in family
        ]
        for family in families
    ]


def interval(differences: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The percentile interval of the defined draws."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(differences, (tail, 1 - tail))
    return float(low), float(high)


def relative(baseline: float, candidate: float) -> float | None:
    """The change relative to the baseline; None if that is 0.

    >>> round(relative(0.372, 0.422), 3), round(relative(10e6, 22e6), 3), relative(0.0, 1.0)
    (0.134, 1.2, None)
    """
    return (candidate - baseline) / abs(baseline) if baseline else None


def _spread(trainings: Sequence[Drawn], figure: str) -> float | None:
    """The standard deviation over seeds (n - 1)."""
    if len(trainings) < 2:
        return None
    return float(np.std([training.of(figure)[0] for training in trainings], ddof=1))
