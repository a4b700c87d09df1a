"""Images with 8 bits per channel, and arrays of images written as files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.files.atomic import new_folder
from mlops.terminal.progress import tracked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


_ROWS = 1024


def as_8_bits(picture: Image) -> Image:
    """The upper 8 bits of a 16-bit grey image (X-ray), as in OpenCV; other images are unchanged.

    Pillow would turn all values above 255 into white.
    """
    import numpy as np
    from PIL.Image import fromarray, new

    if not picture.mode.startswith("I;16"):
        return picture
    upper = new("L", picture.size)
    for top in range(0, picture.height, _ROWS):  # a copy of the whole would need five times its memory
        rows = picture.crop((0, top, picture.width, min(top + _ROWS, picture.height)))
        upper.paste(fromarray((np.asarray(rows) // 256).astype(np.uint8)), (0, top))
    return upper


def as_rgb(picture: Image) -> Image:
    """`picture` in RGB with 8 bits per channel, as networks need it."""
    return as_8_bits(picture).convert("RGB")


def as_files(images: NDArray[np.uint8], cache: Path) -> list[Path]:
    """PNG files of (N, H, W, 3) RGB images in `<cache>/tiles/<digest>`; written once and atomically."""
    import numpy as np

    key = hashlib.sha256(repr(images.shape).encode() + np.ascontiguousarray(images).tobytes()).hexdigest()[
        :24
    ]
    folder = cache.resolve() / "tiles" / key
    if not folder.is_dir():
        _write(images, folder)
    return [folder / f"{index:06d}.png" for index in range(len(images))]


def _write(images: NDArray[np.uint8], folder: Path) -> None:
    from PIL import Image

    with new_folder(folder, "keep") as work:
        for index, picture in enumerate(tracked(images, "Writing images")):
            Image.fromarray(picture).save(work / f"{index:06d}.png", compress_level=1)
