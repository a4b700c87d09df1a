"""A picture as networks take it, whatever its file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def as_rgb(picture: Image) -> Image:
    """`picture` in RGB, 8 bits a channel.

    Of 16 bits grey, as X-rays have them, the upper 8 count, as OpenCV does it; Pillow would make white of all
    above 255.
    """
    import numpy as np
    from PIL.Image import fromarray

    if picture.mode.startswith("I;16"):
        picture = fromarray((np.asarray(picture) // 256).astype(np.uint8))
    return picture.convert("RGB")
