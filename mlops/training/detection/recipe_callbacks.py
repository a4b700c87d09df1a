"""Settings of a recipe without an Ultralytics argument: unfreezing, brightness and contrast.

Ultralytics freezes layers at the start (`freeze`) and never unfreezes them. Its optimizer has every
parameter, frozen or not, and skips those without a gradient, so an unfrozen layer is trained from the next
step, with the learning rate of that epoch.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


ALWAYS_FROZEN = ".dfl"  # a fixed integral over bins without learned weights


def due(epochs_done: int, freeze_layers: int, freeze_epochs: int) -> bool:
    """True if frozen layers must be unfrozen now; `freeze_epochs` 0 means never."""
    return freeze_layers > 0 and 0 < freeze_epochs <= epochs_done


def release(loop: Any) -> None:
    """Unfreeze every layer of an Ultralytics trainer, including batch-norm statistics."""
    loop.freeze_layer_names = [name for name in loop.freeze_layer_names if name == ALWAYS_FROZEN]
    for name, parameter in _parameters(loop.model):
        if ALWAYS_FROZEN not in name and parameter.dtype.is_floating_point:
            parameter.requires_grad = True


def _parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())


@dataclass(frozen=True, slots=True)
class BrightnessContrast:
    """Multiply an image's values, then their difference from the image's mean, by random factors.

    brightness, contrast: largest relative change; the factors are uniform in [1 - x, 1 + x], as in
    torchvision's ColorJitter. Part of an Ultralytics pipeline: takes and returns its label dict, with `img`
    uint8 (H, W, C). Uses `random`, which the library seeds in every loader process.
    """

    brightness: float
    contrast: float

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        gain = 1.0 + random.uniform(-self.brightness, self.brightness)
        spread = 1.0 + random.uniform(-self.contrast, self.contrast)
        labels["img"] = adjust(labels["img"], gain, spread)
        return labels


def adjust(picture: NDArray[np.uint8], gain: float, spread: float) -> NDArray[np.uint8]:
    """`picture` times `gain`, then its contrast times `spread`; clipped to 0..255. Same shape."""
    import cv2
    import numpy as np

    values = np.arange(256, dtype=np.float32) * gain
    mean = float(picture.mean()) * gain
    table = np.clip((values - mean) * spread + mean, 0, 255).round().astype(np.uint8)
    adjusted = cv2.LUT(np.ascontiguousarray(picture), table)
    return np.asarray(adjusted, dtype=np.uint8).reshape(picture.shape)
