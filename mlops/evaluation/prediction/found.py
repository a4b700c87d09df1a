"""Boxes on one picture, from what a detector's ONNX file gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops.evaluation.prediction.suppression import keep_surest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.evaluation.prediction.preprocessing import Prepared


@dataclass(frozen=True, slots=True)
class Found:
    """The boxes on one picture, the surest first.

    corners: (n, 4) float32, x1, y1, x2, y2 in pixels of the picture as given. score: (n,) float32.
    class_index: (n,) int64. height, width: of the picture.
    """

    corners: NDArray[np.float32]
    score: NDArray[np.float32]
    class_index: NDArray[np.int64]
    height: int = 0
    width: int = 0

    def __len__(self) -> int:
        return len(self.score)


def suppressed(
    rows: NDArray[np.float32], score: float, iou: float, most: int, several_classes: bool
) -> Found:
    """From the raw head of one picture, (4 + classes, anchors), in model pixels."""
    rows = rows[:, rows[4:].max(0) > score]
    half = rows[2:4] / 2
    corners = np.concatenate([rows[:2] - half, rows[:2] + half]).T
    if several_classes:
        at, classes = np.nonzero(score < rows[4:].T)
    else:
        at, classes = np.arange(rows.shape[1]), rows[4:].argmax(0)
    scores = rows[4 + classes, at]
    kept = keep_surest(corners[at], scores, classes, iou, most)
    return Found(corners[at][kept], scores[kept], classes[kept].astype(np.int64))


def listed(rows: NDArray[np.float32], score: float, most: int) -> Found:
    """From a model that suppresses itself, (n, 6): x1, y1, x2, y2, score, class, the surest first."""
    rows = rows[rows[:, 4] > score][:most]
    return Found(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def on_picture(found: Found, prepared: Prepared) -> Found:
    """From model pixels, mirrored or not, to the picture's own."""
    side, corners = prepared.values.shape[-1], found.corners.copy()
    for axis, mirrored in enumerate(prepared.flip):
        if mirrored:
            corners[:, [axis, axis + 2]] = side - corners[:, [axis + 2, axis]]
    pad, gain = np.tile(prepared.pad, 2), np.tile(prepared.gain, 2)
    edge = np.array([prepared.width, prepared.height] * 2, np.float32)
    corners = np.clip((corners - pad) / gain, 0, edge).astype(np.float32)
    return replace(found, corners=corners, height=prepared.height, width=prepared.width)
