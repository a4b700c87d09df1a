"""Several models scored on the same resamples: all of a detector's or classifier's metrics at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mlops.metrics.resampled_ap import mean_defined, ranked_classes
from mlops.metrics.samples.matching import count_at, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.metrics.samples.matching import Detections

# Weights (D, U), how often each unit was drawn, to K scores per draw, (D, K); NaN if undefined.
Scores: TypeAlias = "Callable[[NDArray[np.int64]], NDArray[np.float64]]"
Progress: TypeAlias = Callable[[int, int], None]

_CELLS = 10_000_000  # of the largest array in work at a time: 40 to 80 MB


@dataclass(frozen=True, slots=True)
class Scored:
    """One training's predictions, prepared for scoring draws. width: number of values per draw."""

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
    """Score every model on the same `draws` draws. counts: (U,) number of samples of each unit.

    Raises ValueError without samples.
    """
    samples = int(counts.sum())
    if samples < 1:
        raise ValueError("there are no samples to compare on")
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
    """The mean over S trainings of one configuration with different seeds.

    On each draw of the samples S - 1 of the S trainings are drawn with replacement. With S - 1 instead of S
    the variance of the mean over the draws equals that over seeds, s^2 / S (McCarthy and Snowden 1985, 'The
    bootstrap and finite population sampling', with an infinite population of seeds). With one training, the
    interval does not cover the variation between seeds.
    stream: of the random numbers, different for each configuration.
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


BOX_FIGURES = ("mAP50-95", "mAP50", "precision", "recall", "F1")


def scores_of_boxes(boxes: Detections, classes: Mapping[int, str], threshold: float) -> Scored:
    """`BOX_FIGURES` and `AP50/<class>` of each class with an object. A unit is an image of `boxes.pictures`.

    precision, recall, F1: over the boxes of all classes with score >= `threshold`, at IoU 0.5.
    The means of AP are over the classes with objects in a draw.
    """
    matched = match(boxes)
    ranked = ranked_classes(boxes, matched)
    at = count_at(boxes, threshold, matched[0])
    counted = np.stack([at.found, at.given, at.objects]).astype(np.float32)
    names = [f"AP50/{classes.get(each.index, each.index)}" for each in ranked]

    def scores(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = np.ascontiguousarray(weights.T, dtype=np.float32)
        if ranked:
            ap = np.stack([each.ap(drawn) for each in ranked])  # (classes, IoUs, D)
        else:
            ap = np.full((0, 1, len(weights)), np.nan)
        found, given, objects = (counted @ drawn).astype(np.float64)
        columns = [
            mean_defined(ap.mean(1)),
            mean_defined(ap[:, 0]),
            ratio(found, given),
            ratio(found, objects),
            ratio(2 * found, given + objects),
            *ap[:, 0],
        ]
        return np.stack(columns, axis=1)

    width = max((len(each.hit_on) for each in ranked), default=1)
    return Scored((*BOX_FIGURES, *names), scores, width)


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """part / whole; NaN if whole is 0."""
    share: NDArray[np.float64] = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return share


CLASS_HEADLINES = ("macro_f1", "accuracy")


def shared_cells(
    truth: NDArray[np.int64], answers: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group images with equal truth and predictions into units: cells (U, 1 + models) and counts (U,).

    truth (N,) and each of answers (N,) are class indices, the only input of a score.
    """
    cells, counts = np.unique(np.stack([truth, *answers], axis=1), axis=0, return_counts=True)
    return cells, counts


def scores_of_classes(truth: NDArray[np.int64], answer: NDArray[np.int64], classes: Sequence[str]) -> Scored:
    """`macro_f1`, `accuracy` and `F1/<class>` of each class in `truth`; truth and answer (U,) of each unit.

    F1 = 2 TP / (truths + predictions), as in scikit-learn; macro_f1 is the mean over the classes in the
    draw's ground truth or predictions.
    """
    occurring = np.union1d(truth, answer)
    is_truth = (truth[:, None] == occurring).astype(np.float64)
    is_answer = (answer[:, None] == occurring).astype(np.float64)
    twice_hit, both = 2 * is_truth * is_answer, is_truth + is_answer
    right = (truth == answer).astype(np.float64)
    named = np.flatnonzero(is_truth.any(0))

    def scores(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = weights.astype(np.float64)
        over = drawn @ both
        f1 = drawn @ twice_hit / np.where(over > 0, over, 1)
        macro = f1.sum(1) / (over > 0).sum(1)
        accuracy = drawn @ right / drawn.sum(1)
        each = np.where(over > 0, f1, np.nan)[:, named]
        return np.concatenate([macro[:, None], accuracy[:, None], each], axis=1)

    names = tuple(f"F1/{classes[occurring[column]]}" for column in named)
    return Scored((*CLASS_HEADLINES, *names), scores, len(truth))
