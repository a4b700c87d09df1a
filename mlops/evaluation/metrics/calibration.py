"""Whether a classifier is as sure as it is right. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of B equal bins of confidence: count, mean confidence and accuracy (B,), NaN for an empty one.

    ece: expected calibration error, the mean gap between the two, weighted by count (Guo et al. 2017,
    'On Calibration of Modern Neural Networks', equation 3). worst: the largest gap of a bin (MCE).
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    ece: float
    worst: float


def calibration(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = BINS
) -> Calibration:
    """truth (N,) class indices, probabilities (N, C). A bin holds confidences above its lower edge."""
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == truth
    edges = np.linspace(0, 1, bins + 1)
    at = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins)
    mean, accuracy = (
        np.bincount(at, weights=each, minlength=bins) / np.where(count, count, np.nan)
        for each in (confidence, right.astype(np.float64))
    )
    gap = np.abs(accuracy - mean)
    ece = float(np.nansum(gap * count) / max(len(truth), 1))
    worst = float(np.nanmax(gap)) if len(truth) else float("nan")
    return Calibration(edges, count, mean, accuracy, ece, worst)
