"""Images for the gallery: with their boxes, or next to a classifier's heat map."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mlops.data.dataset import ClassificationDataset, LabelledImages
from mlops.data.image_files import opened_image
from mlops.data.pixels import as_rgb
from mlops.data.readers.layout import upright
from mlops.metrics.samples.image_names import picture_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from mlops.data.dataset import Dataset, SplitName
    from mlops.metrics.samples.boxes import Boxes

Area: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom in pixels
ANNOTATED, PREDICTED = "#56B4E9", "#E69F00"  # of Okabe and Ito's palette; visible on grey
SMALLEST, LARGEST = 320, 800  # pixels of the longer side
_PIXELS_SHOW = 96  # images smaller than this are enlarged without interpolation


@dataclass(frozen=True, slots=True)
class Marked:
    """A box on an image: corners in its pixels; bold: the subject of the example."""

    corners: tuple[float, float, float, float]
    says: str
    annotated: bool
    bold: bool


class ImageBook:
    """The images of a split by their names in tables."""

    def __init__(self, dataset: Dataset, split: SplitName) -> None:
        held = dataset.splits[split]
        images = held.images if isinstance(held, LabelledImages) else [each.image for each in held]
        self._held = dict(zip(picture_names(dataset, split), images, strict=True))
        self._upright = not isinstance(dataset, ClassificationDataset)

    def open(self, name: str) -> Image:
        """The image as in training, in RGB. Raises OSError for a missing file, DataFault above a limit."""
        from PIL import Image

        held = self._held[name]
        if not isinstance(held, Path):
            return as_rgb(Image.fromarray(held))
        with opened_image(held) as opened:
            return as_rgb(upright(opened) if self._upright else opened)


def marks_on(
    boxes: Boxes, classes: Sequence[str], name: str, threshold: float, about: int
) -> tuple[Marked, ...]:
    """The annotated boxes on an image, and the predicted ones with score >= `threshold`.

    about: the row to draw bold.
    """
    rows = np.flatnonzero((boxes.image == name) & (boxes.truth | (boxes.score >= threshold)))
    return tuple(
        Marked(
            corners=tuple(float(each) for each in boxes.corners[row]),  # type: ignore[arg-type]
            says=classes[boxes.class_index[row]] + ("" if boxes.truth[row] else f" {boxes.score[row]:.2f}"),
            annotated=bool(boxes.truth[row]),
            bold=bool(row == about),
        )
        for row in rows
    )


def with_marks(picture: Image, marks: Sequence[Marked]) -> Image:
    """The image at display size, with its boxes; the bold one last, on top of the others.

    Overlapping names are omitted; the bold box has priority, then annotated ones.
    """
    from PIL import ImageDraw

    drawn, factor = at_a_size_to_look_at(picture)
    pen = ImageDraw.Draw(drawn)
    placed = [_outlined(pen, mark, factor, drawn.size) for mark in sorted(marks, key=lambda each: each.bold)]
    named: list[Area] = []
    for mark, area in sorted(placed, key=lambda each: (not each[0].bold, not each[0].annotated)):
        _name(pen, mark, area, drawn.height, named)
    return drawn


def beside(picture: Image, heat: NDArray[np.float32]) -> Image:
    """The image, and to its right the image with a heat map (H, W) in 0..1, from dark to yellow."""
    from matplotlib import colormaps
    from PIL import Image

    left, _ = at_a_size_to_look_at(picture)
    grown = Image.fromarray((heat.clip(0, 1) * 255).astype(np.uint8)).resize(
        left.size, Image.Resampling.BILINEAR
    )
    colours = Image.fromarray((colormaps["viridis"](np.asarray(grown))[..., :3] * 255).astype(np.uint8))
    both = Image.new("RGB", (2 * left.width + 8, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(Image.blend(left, colours, 0.5), (left.width + 8, 0))
    return both


def at_a_size_to_look_at(picture: Image) -> tuple[Image, float]:
    """The image at display size, and the scale factor."""
    from PIL import Image

    longer = max(picture.size)
    factor = min(max(longer, SMALLEST), LARGEST) / longer
    if factor == 1:
        return picture.copy(), 1.0
    way = Image.Resampling.NEAREST if longer < _PIXELS_SHOW else Image.Resampling.BICUBIC
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, way), factor


def as_jpeg(picture: Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=88)
    return held.getvalue()


def _outlined(pen: ImageDraw, mark: Marked, factor: float, size: tuple[int, int]) -> tuple[Marked, Area]:
    """Draw the box; returns its position on the displayed image."""
    left, top, right, bottom = (each * factor for each in mark.corners)
    left, right = max(left, 0), min(max(right, left + 2), size[0] - 1)
    top, bottom = max(top, 0), min(max(bottom, top + 2), size[1] - 1)
    area = (left, top, max(right, left), max(bottom, top))
    pen.rectangle(area, outline=_colour(mark), width=4 if mark.bold else 2)
    return mark, area


def _name(pen: ImageDraw, mark: Marked, area: Area, picture_height: int, named: list[Area]) -> None:
    """Draw the name of the box and add its area to `named`, unless it overlaps another name."""
    from PIL import ImageFont

    left, top, _, bottom = area
    font = ImageFont.load_default(size=15 if mark.bold else 12)
    # annotated names are below their boxes and predicted ones above, so both are readable
    height = 18 if mark.bold else 15
    above = top - height if top >= height else top
    below = bottom if bottom + height <= picture_height else bottom - height
    at = (left, below if mark.annotated else above)
    where = pen.textbbox(at, mark.says, font=font)
    if not any(_overlap(where, other) for other in named):
        pen.rectangle(where, fill=_colour(mark))
        pen.text(at, mark.says, fill="black", font=font)
        named.append(where)


def _colour(mark: Marked) -> str:
    return ANNOTATED if mark.annotated else PREDICTED


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
