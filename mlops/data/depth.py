"""A picture with 8 bits a channel, whatever its file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def as_8_bits(picture: Image) -> Image:
    """Of 16 bits grey, as X-rays have them, the upper 8, as OpenCV does it; all else as it is.

    Pillow itself would make white of all above 255.
    """
    import numpy as np
    from PIL.Image import fromarray

    if picture.mode.startswith("I;16"):
        return fromarray((np.asarray(picture) // 256).astype(np.uint8))
    return picture


def as_rgb(picture: Image) -> Image:
    """`picture` in RGB, 8 bits a channel, as networks take it."""
    return as_8_bits(picture).convert("RGB")
