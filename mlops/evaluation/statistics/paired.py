"""Two models on the same pictures: the difference of their scores, with an interval, and a verdict.

The paired bootstrap (Efron and Tibshirani, 'An Introduction to the Bootstrap', chapters 8 and 13): pictures
are drawn anew with replacement, the same ones for both models, and the score of each model is computed on
every draw; the interval holds the middle of the differences (the percentile method). Pure numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Verdict: TypeAlias = Literal["better", "not worse", "worse", "not distinguishable"]

# Weights (draws, units), how often each unit was drawn, to one score a draw, (draws,); NaN: none is defined.
Score: TypeAlias = "Callable[[NDArray[np.int64]], NDArray[np.float64]]"

_CELLS = 4_000_000  # of a chunk of weights: 32 MB


@dataclass(frozen=True, slots=True)
class Pairing:
    """What is drawn from, and how each model is scored on a draw.

    counts: (units,) how many of the samples each unit stands for. Pictures that both models answered alike
    may share a unit: a draw of samples is then a multinomial draw of units, which is the same and quicker.
    """

    counts: NDArray[np.int64]
    candidate: Score
    champion: Score


@dataclass(frozen=True, slots=True)
class Paired:
    """candidate, champion: their scores on all samples; difference: candidate less champion.

    low, high: the interval of the difference at `confidence`. samples: pictures that both were measured on.
    """

    candidate: float
    champion: float
    difference: float
    low: float
    high: float
    confidence: float
    margin: float
    samples: int
    draws: int
    verdict: Verdict


def paired_bootstrap(
    pairing: Pairing,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    margin: float = 0.0,
) -> Paired:
    """Compare on `draws` draws of as many samples as there are. The same seed gives the same interval.

    margin: how much less than the champion's score still counts as not worse, in the score's own unit.
    Raises ValueError without samples, or where a score is not defined on them.
    """
    samples = int(pairing.counts.sum())
    if samples < 1:
        raise ValueError("no samples to compare on")
    whole = pairing.counts[None, :]
    candidate, champion = float(pairing.candidate(whole)[0]), float(pairing.champion(whole)[0])
    if not np.isfinite(candidate - champion):
        raise ValueError("the score is not defined on these samples")
    differences = _differences(pairing, samples, draws, seed)
    tail = (1 - confidence) / 2
    low, high = (float(end) for end in np.nanquantile(differences, (tail, 1 - tail)))
    return Paired(
        candidate=candidate,
        champion=champion,
        difference=candidate - champion,
        low=low,
        high=high,
        confidence=confidence,
        margin=margin,
        samples=samples,
        draws=draws,
        verdict=verdict_of(low, high, margin),
    )


def verdict_of(low: float, high: float, margin: float) -> Verdict:
    """What an interval of the difference says; the first that holds.

    better: all above 0. not worse: all above -margin. worse: all below 0. Else it is not distinguishable.

    >>> verdict_of(0.01, 0.03, 0.0), verdict_of(-0.002, 0.01, 0.005), verdict_of(-0.03, -0.01, 0.005)
    ('better', 'not worse', 'worse')
    >>> verdict_of(-0.02, 0.01, 0.005)
    'not distinguishable'
    """
    if low > 0:
        return "better"
    if low >= -margin:
        return "not worse"
    return "worse" if high < 0 else "not distinguishable"


def _differences(pairing: Pairing, samples: int, draws: int, seed: int) -> NDArray[np.float64]:
    """The difference on each draw, (draws,), in chunks that fit the memory."""
    rng = np.random.default_rng(seed)
    share = pairing.counts / samples
    step = max(1, _CELLS // len(share))
    parts = []
    for start in range(0, draws, step):
        weights = rng.multinomial(samples, share, size=min(step, draws - start))
        parts.append(pairing.candidate(weights) - pairing.champion(weights))
    return np.concatenate(parts)
