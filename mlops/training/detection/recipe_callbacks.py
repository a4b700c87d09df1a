"""What a recipe asks of Ultralytics beyond its arguments: freezing, brightness and contrast.

Freezing: Ultralytics freezes at the start (`freeze`) and never releases. Its optimizer holds every
parameter, frozen or not, and skips those without a gradient, so a released layer trains on from the next
step, at the rate of that epoch.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


ALWAYS_FROZEN = ".dfl"  # a fixed integral over bins, not a layer that learns


def due(epochs_done: int, freeze_layers: int, freeze_epochs: int) -> bool:
    """True when layers that were frozen must train from now on; `freeze_epochs` 0 means never."""
    return freeze_layers > 0 and 0 < freeze_epochs <= epochs_done


def release(loop: Any) -> None:
    """Let every layer of an Ultralytics trainer learn, batch-norm statistics included."""
    loop.freeze_layer_names = [name for name in loop.freeze_layer_names if name == ALWAYS_FROZEN]
    for name, parameter in _parameters(loop.model):
        if ALWAYS_FROZEN not in name and parameter.dtype.is_floating_point:
            parameter.requires_grad = True


def _parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())


@dataclass(frozen=True, slots=True)
class BrightnessContrast:
    """Scale an image's values, then their distance to the image's mean, each by a factor drawn anew.

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
