"""Brightness and contrast, which the library has no argument for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BrightnessContrast:
    """Scale a picture's values, then their distance to the picture's mean, each by a factor drawn anew.

    brightness, contrast: largest relative change; the factors are uniform in [1 - x, 1 + x], as
    torchvision's ColorJitter draws them. Stands in an Ultralytics pipeline: takes and gives its label dict,
    with `img` uint8 (H, W, C). Draws from `random`, which the library seeds in every loader process.
    """

    brightness: float
    contrast: float

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        gain = 1.0 + random.uniform(-self.brightness, self.brightness)
        spread = 1.0 + random.uniform(-self.contrast, self.contrast)
        labels["img"] = adjust(labels["img"], gain, spread)
        return labels


def adjust(picture: NDArray[np.uint8], gain: float, spread: float) -> NDArray[np.uint8]:
    """`picture` times `gain`, then spread around its mean; clipped to 0..255. Same shape."""
    import cv2
    import numpy as np

    values = np.arange(256, dtype=np.float32) * gain
    mean = float(picture.mean()) * gain
    table = np.clip((values - mean) * spread + mean, 0, 255).round().astype(np.uint8)
    adjusted = cv2.LUT(np.ascontiguousarray(picture), table)
    return np.asarray(adjusted, dtype=np.uint8).reshape(picture.shape)
