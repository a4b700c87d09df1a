"""The paired bootstrap: two models on the same images, the difference with its interval, a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from mlops.metrics.resampled_ap import mean_defined, ranked_classes
from mlops.metrics.samples.matching import IOUS, count_at, detections_of, match
from mlops.metrics.statistics.resampling import ratio, scores_of_classes, shared_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.metrics.samples.boxes import Boxes
    from mlops.metrics.samples.matching import Detections

Verdict: TypeAlias = Literal["better", "not worse", "worse", "not distinguishable"]

# Weights (draws, units), how often each unit was drawn, to one score per draw, (draws,); NaN if undefined.
Score: TypeAlias = "Callable[[NDArray[np.int64]], NDArray[np.float64]]"

_WEIGHTS_AT_ONCE = 4_000_000  # of a chunk of weights: 32 MB


@dataclass(frozen=True, slots=True)
class Pairing:
    """The resampling units, and the score of each model on a draw.

    counts: (units,) number of samples of each unit. Images with the same predictions of both models may share
    a unit; a draw of samples is then an equivalent but faster multinomial draw of units.
    """

    counts: NDArray[np.int64]
    candidate: Score
    champion: Score


@dataclass(frozen=True, slots=True)
class Paired:
    """candidate, champion: their scores on all samples; difference: candidate minus champion.

    low, high: the interval of the difference at `confidence`. samples: number of common images.
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
    """Compare on `draws` bootstrap resamples. The same seed gives the same interval.

    margin: non-inferiority margin, in the unit of the score.
    Raises ValueError without samples, or if a score is undefined on them.
    """
    samples = int(pairing.counts.sum())
    if samples < 1:
        raise ValueError("there are no samples to compare on")
    whole = pairing.counts[None, :]
    candidate, champion = float(pairing.candidate(whole)[0]), float(pairing.champion(whole)[0])
    if not np.isfinite(candidate - champion):
        raise ValueError("the score is undefined on these samples")
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
    """The verdict of an interval of the difference; the first that applies.

    better: above 0. not worse: above -margin. worse: below 0. Else not distinguishable.

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
    """The difference on each draw, (draws,), in chunks that fit into memory."""
    rng = np.random.default_rng(seed)
    share = pairing.counts / samples
    step = max(1, _WEIGHTS_AT_ONCE // len(share))
    parts = []
    for start in range(0, draws, step):
        weights = rng.multinomial(samples, share, size=min(step, draws - start))
        parts.append(pairing.candidate(weights) - pairing.champion(weights))
    return np.concatenate(parts)


_VALUES_AT_ONCE = 10_000_000  # of the largest array in work: 40 MB
_IOUS = {"mAP50": IOUS[:1], "mAP50-95": IOUS}


def pair_detectors(candidate: Boxes, champion: Boxes, figure: str) -> Pairing:
    """Compare on `mAP50`, `mAP50-95`, `recall@T` or `patch_F2@T` (T: the score threshold).

    mAP is COCO's. Raises ValueError for another metric.
    """
    pictures = np.union1d(candidate.image, champion.image)
    counts = np.ones(len(pictures), np.int64)
    own, other = (detections_of(boxes).on(pictures) for boxes in (candidate, champion))
    return Pairing(counts, _box_score(own, figure), _box_score(other, figure))


def _box_score(boxes: Detections, figure: str) -> Score:
    name, _, threshold = figure.partition("@")
    if figure in _IOUS:
        return _mean_ap(boxes, _IOUS[figure])
    if name == "recall" and threshold:
        return _recall(boxes, float(threshold))
    if name == "patch_F2" and threshold:
        return _patch_f2(boxes, float(threshold))
    raise ValueError(f"{figure} is not a metric of a detector; use mAP50, mAP50-95, recall@T or patch_F2@T")


def _mean_ap(boxes: Detections, ious: tuple[float, ...]) -> Score:
    """The mean over `ious` and the classes with objects in a draw."""
    ranked = ranked_classes(boxes, match(boxes, ious))
    rows = max(8, _VALUES_AT_ONCE // max(len(boxes.pictures), *(len(each.hit_on) for each in ranked), 1))

    def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        if not ranked:
            return np.full(len(weights), np.nan)
        parts = []
        for start in range(0, len(weights), rows):
            drawn = np.ascontiguousarray(weights[start : start + rows].T, dtype=np.float32)
            parts.append(mean_defined(np.stack([each.ap(drawn).mean(0) for each in ranked])))
        return np.concatenate(parts)

    return score


def _recall(boxes: Detections, threshold: float) -> Score:
    counted = count_at(boxes, threshold)
    return lambda weights: ratio(weights @ counted.found, weights @ counted.objects)


def _patch_f2(boxes: Detections, threshold: float) -> Score:
    """Image-level F2: 5 TP / (5 TP + 4 FN + FP)."""
    counted = count_at(boxes, threshold)
    positive, flagged = counted.positive, counted.flagged
    hit = (positive & flagged).astype(np.int64)
    missed, false = (positive & ~flagged).astype(np.int64), (~positive & flagged).astype(np.int64)
    return lambda weights: ratio(5 * (weights @ hit), weights @ (5 * hit + 4 * missed + false))


ClassFigure: TypeAlias = Literal["macro_f1", "accuracy"]
CLASS_FIGURES: tuple[ClassFigure, ...] = ("macro_f1", "accuracy")


def pair_classifiers(
    truth: NDArray[np.int64],
    candidate: NDArray[np.int64],
    champion: NDArray[np.int64],
    figure: ClassFigure = "macro_f1",
) -> Pairing:
    """Class indices (N,) each. A unit is a cell of (truth, candidate, champion), the input of a score.

    `macro_f1` is scikit-learn's: the mean over the classes in the draw's ground truth or predictions.
    """
    cells, counts = shared_cells(truth, [candidate, champion])
    own, other = (_class_score(cells[:, 0], cells[:, column], figure) for column in (1, 2))
    return Pairing(counts, own, other)


def _class_score(truth: NDArray[np.int64], answer: NDArray[np.int64], figure: ClassFigure) -> Score:
    names = tuple(map(str, range(1 + int(max(truth.max(initial=0), answer.max(initial=0))))))
    scored = scores_of_classes(truth, answer, names)
    column = scored.figures.index(figure)
    return lambda weights: scored.scores(weights)[:, column]
