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

    objects: annotated; found: of them, matched by a box of their class. positive: the picture shows
    something; flagged: some box was given, of whatever class.
    """

    objects: NDArray[np.int64]
    found: NDArray[np.int64]
    positive: NDArray[np.bool_]
    flagged: NDArray[np.bool_]

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


def count_at(boxes: Detections, threshold: float) -> Counted:
    """Count on each of `boxes.pictures` with boxes of at least `threshold`, matched at IoU 0.5.

    A picture without any row (nothing annotated, nothing predicted) is a true negative: neither figure
    needs it.
    """
    sure = boxes.score >= threshold
    hit = match(boxes, IOUS[:1])[0] & sure  # what is less sure takes no object from what is surer
    objects, found, given = (
        np.bincount(pictures, minlength=len(boxes.pictures))
        for pictures in (boxes.truth_picture, boxes.picture[hit], boxes.picture[sure])
    )
    return Counted(objects, found, objects > 0, given > 0)
