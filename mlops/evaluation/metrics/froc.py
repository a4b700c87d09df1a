"""FROC: how many objects are found against how many false boxes a picture one puts up with. Pure.

The free-response curve of computer-aided detection (Bunch et al. 1978); its summary is the mean sensitivity
at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false boxes a picture (LUNA16: Setio et al. 2017, 'Validation, comparison, and
combination of algorithms for automatic detection of pulmonary nodules').
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlops.evaluation.metrics.thresholds import Counts

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Froc:
    """false_per_image, sensitivity: (K,) from the highest threshold down, starting at 0 and 0.

    at: rate -> sensitivity. score: their mean.
    """

    false_per_image: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    at: Mapping[float, float]
    score: float


def froc(counts: Counts, pictures: int) -> Froc:
    """From the counts of all boxes on `pictures` pictures (see `thresholds.counts_of`).

    The sensitivity at a rate is the highest that some threshold reaches with no more false boxes.
    """
    false = np.concatenate([[0.0], counts.false[::-1] / max(pictures, 1)])
    sensitivity = np.concatenate([[0.0], counts.recall[::-1]])
    at = {rate: float(sensitivity[false <= rate].max()) for rate in RATES}
    return Froc(false, sensitivity, at, float(np.mean(list(at.values()))))
