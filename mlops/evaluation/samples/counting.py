"""What a detector found on each picture with the boxes from some score on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.samples.matching import IOUS, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.samples.detections import Detections


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found on each of M pictures at a threshold, (M,) each.

    objects: annotated; found: of them, matched by a box of their class. given: boxes, of whatever class.
    """

    objects: NDArray[np.int64]
    found: NDArray[np.int64]
    given: NDArray[np.int64]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether the picture shows something."""
        return self.objects > 0

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Whether some box was given on it."""
        return self.given > 0

    @property
    def recall(self) -> float:
        """Found of all objects; NaN without any."""
        total = int(self.objects.sum())
        return float(self.found.sum() / total) if total else float("nan")

    @property
    def patch_f2(self) -> float:
        """F2 of the pictures, each taken as a patch: 5 TP / (5 TP + 4 FN + FP); NaN where that is 0 / 0."""
        hit, missed = int((self.positive & self.flagged).sum()), int((self.positive & ~self.flagged).sum())
        over = 5 * hit + 4 * missed + int((~self.positive & self.flagged).sum())
        return 5 * hit / over if over else float("nan")


def count_at(boxes: Detections, threshold: float, matched: NDArray[np.bool_] | None = None) -> Counted:
    """Count on each of `boxes.pictures` with boxes of at least `threshold`, matched at IoU 0.5.

    matched: (P,) whether each prediction is true, where that is known already.
    A picture without any row (nothing annotated, nothing predicted) is a true negative: neither figure
    needs it.
    """
    sure = boxes.score >= threshold
    true = match(boxes, IOUS[:1])[0] if matched is None else matched
    hit = true & sure  # what is less sure takes no object from what is surer
    objects, found, given = (
        np.bincount(pictures, minlength=len(boxes.pictures))
        for pictures in (boxes.truth_picture, boxes.picture[hit], boxes.picture[sure])
    )
    return Counted(objects, found, given)
