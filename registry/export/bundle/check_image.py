"""The image in a bundle for trying `predict.py`: a demo image or a synthetic one.

A bundle never contains images of a user's data, as their licence may not allow it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops.data.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

    from registry.export.proof.held_out_images import HeldOutImages


def check_picture(held: HeldOutImages, file: Path) -> None:
    """Write `file` as PNG: a held-out image of demo data, else random ellipses from a fixed seed."""
    picture = _of_demo(held) if held.demo else _blots()
    picture.save(file)


def _of_demo(held: HeldOutImages) -> Image:
    from PIL import Image

    first = held.pictures[0]
    if isinstance(first, np.ndarray):
        return Image.fromarray(first)
    with Image.open(first) as opened:
        return as_rgb(opened)


def _blots() -> Image:
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(0)
    picture = Image.new("RGB", (320, 240), (205, 196, 188))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, r = int(rng.integers(0, 320)), int(rng.integers(0, 240)), int(rng.integers(8, 50))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(c) for c in rng.integers(40, 220, 3)))
    return picture
