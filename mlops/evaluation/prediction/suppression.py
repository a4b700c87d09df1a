"""Non-maximum suppression: of boxes of one class that overlap, the surest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 256


def keep_surest(
    corners: NDArray[np.float32],
    score: NDArray[np.float32],
    class_index: NDArray[np.int64],
    iou: float,
    most: int,
) -> NDArray[np.int64]:
    """Row numbers of the boxes that stay, the surest first, `most` of them at most.

    corners (N, 4) x1, y1, x2, y2; score, class_index (N,). A box goes where a surer one of its class that
    stays overlaps it by more than `iou`: the greedy rule of torchvision.ops.nms, which gives the same rows.
    Looks at 256 boxes at a time and stops at `most`, so that thousands of faint boxes cost little.
    """
    order = np.argsort(-score, kind="stable")
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        block = block[~_hidden(corners, class_index, block, kept, iou).any(1)]
        hides = np.triu(_hidden(corners, class_index, block, block, iou), 1)  # row hides a later column
        stays = np.ones(len(block), np.bool_)
        for index in range(len(block)):
            if stays[index]:
                stays &= ~hides[index]
        kept = np.concatenate([kept, block[stays]])
        if len(kept) >= most:
            break
    return kept[:most]


def _hidden(
    corners: NDArray[np.float32],
    class_index: NDArray[np.int64],
    rows: NDArray[np.int64],
    by: NDArray[np.int64],
    iou: float,
) -> NDArray[np.bool_]:
    """(rows, by): overlapping by more than `iou`, and of one class."""
    a, b = corners[rows], corners[by]
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    across = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - low, 0, None)
    shared = across[..., 0] * across[..., 1]
    area_a, area_b = ((each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) for each in (a, b))
    union = area_a[:, None] + area_b[None, :] - shared
    same = class_index[rows][:, None] == class_index[by][None, :]
    hidden: NDArray[np.bool_] = same & (shared > iou * np.maximum(union, 1e-12))
    return hidden
