"""Several models scored on the same draws of the samples, all figures of each at once.

The draws are those of `paired`, beside this: with the same seed and units an interval of one figure is the
same here and there. Where a model stands for several trainings that differ in their seed alone,
`of_seeds` draws among those too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Weights (D, U), how often each unit was drawn, to K scores a draw, (D, K); NaN where one is not defined.
Scores: TypeAlias = "Callable[[NDArray[np.int64]], NDArray[np.float64]]"
Progress: TypeAlias = Callable[[int, int], None]

_CELLS = 10_000_000  # of the largest array in work at a time: 40 to 80 MB


@dataclass(frozen=True, slots=True)
class Scored:
    """One training's answers, ready to be scored on draws. width: values that scoring one draw works with."""

    figures: tuple[str, ...]
    scores: Scores
    width: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """whole: (K,) on all samples. draws: (D, K) on each draw."""

    figures: tuple[str, ...]
    whole: NDArray[np.float64]
    draws: NDArray[np.float64]

    def of(self, figure: str) -> tuple[float, NDArray[np.float64]]:
        """The score on all samples and on each draw, (D,)."""
        at = self.figures.index(figure)
        return float(self.whole[at]), self.draws[:, at]


def resample(
    counts: NDArray[np.int64],
    models: Sequence[Scored],
    *,
    draws: int,
    seed: int,
    on_progress: Progress | None = None,
) -> list[Drawn]:
    """Score every model on the same `draws` draws. counts: (U,) samples that each unit stands for.

    Raises ValueError without samples.
    """
    samples = int(counts.sum())
    if samples < 1:
        raise ValueError("no samples to compare on")
    rows = max(8, _CELLS // max(len(counts), *(model.width for model in models)))
    held = [np.empty((draws, len(model.figures))) for model in models]
    rng, share = np.random.default_rng(seed), counts / samples
    for start in range(0, draws, rows):
        weights = rng.multinomial(samples, share, size=min(rows, draws - start))
        for number, (model, into) in enumerate(zip(models, held, strict=True)):
            into[start : start + rows] = model.scores(weights)
            if on_progress is not None:
                on_progress(start * len(models) + (number + 1) * len(weights), draws * len(models))
    whole = counts[None, :]
    return [
        Drawn(model.figures, model.scores(whole)[0], into) for model, into in zip(models, held, strict=True)
    ]


def of_seeds(trainings: Sequence[Drawn], stream: tuple[int, int]) -> Drawn:
    """One configuration from S trainings of it that differ in their seed: the mean over them.

    On each draw of the samples S - 1 of the S trainings are drawn with replacement. That many, and not S,
    make the mean's variance over the draws what it is over seeds, s^2 / S (McCarthy and Snowden 1985, 'The
    bootstrap and finite population sampling', with an infinite population of seeds). One training is itself:
    then no interval holds what another seed would change.
    stream: of the random numbers, another one for each configuration.
    """
    first = trainings[0]
    count = len(trainings)
    if count == 1:
        return first
    share = np.full(count, 1 / count)
    drawn = np.random.default_rng(stream).multinomial(count - 1, share, size=len(first.draws))
    held = np.stack([training.draws for training in trainings])
    draws: NDArray[np.float64] = np.einsum("sdk,ds->dk", held, drawn / (count - 1))
    return Drawn(first.figures, np.mean([training.whole for training in trainings], axis=0), draws)
