"""A picture as the model takes it, and the way back: done as training does it, from what a version states."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Picture: TypeAlias = "Path | str | bytes | NDArray[np.uint8]"
Flip: TypeAlias = tuple[bool, bool]  # left to right, top to bottom
AS_IT_IS: Flip = (False, False)
_Way: TypeAlias = tuple[int, int, tuple[float, float], tuple[int, int]]  # height, width, gain, pad


@dataclass(frozen=True, slots=True)
class Prepared:
    """One picture as the model takes it, and the way back.

    values: (3, side, side) float32. height, width: of the picture as given. gain: (x, y), model pixels a
    picture's pixel. pad: (left, top) in model pixels.
    """

    values: NDArray[np.float32]
    height: int
    width: int
    gain: tuple[float, float]
    pad: tuple[int, int]
    flip: Flip = AS_IT_IS

    def flipped(self, flip: Flip) -> Prepared:
        """Mirrored as the model sees it; boxes come back as of the picture as it was."""
        sideways, upright = (slice(None, None, -1 if each else 1) for each in flip)
        return replace(self, values=self.values[:, upright, sideways], flip=flip)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to a picture; see `open_onnx`. `nms`: score, iou, most and in_model; {} for no boxes.

    classes: of the boxes, or of pictures where there are none. image_classes: of pictures.
    """

    letterbox: bool
    side: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad_value: int
    classes: tuple[str, ...]
    image_classes: tuple[str, ...]
    nms: Mapping[str, Any]

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Preprocessing:
        """Raises ValueError for a statement that leaves something out or asks for what is not done here."""
        try:
            known = {"resize": ("letterbox", "stretch"), "interpolation": ("bilinear",)}
            known |= {"colour_order": ("RGB",), "layout": ("NCHW",)}
            for key, allowed in known.items():
                if stated[key] not in allowed:
                    raise ValueError(f"the preprocessing's {key} is {stated[key]!r}; known: {allowed}")
            return cls(
                letterbox=stated["resize"] == "letterbox",
                side=int(stated["side"]),
                scale=float(stated["scale"]),
                mean=tuple(float(each) for each in stated["mean"]),
                std=tuple(float(each) for each in stated["std"]),
                pad_value=int(stated.get("pad_value", 114)),
                classes=tuple(str(each) for each in stated["classes"]),
                image_classes=tuple(str(each) for each in stated.get("image_classes", stated["classes"])),
                nms=dict(stated.get("nms") or {}),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the preprocessing is not one of ours: {error!r}") from error

    def prepare(self, picture: Picture) -> Prepared:
        """Raises ValueError for what is no picture, OSError for a file that cannot be read."""
        if self.letterbox:
            square, prepared = _letterboxed(picture, self.side, self.pad_value)
        else:
            square, prepared = _stretched(picture, self.side)
        values = square.transpose(2, 0, 1).astype(np.float32) * np.float32(self.scale)
        if any(self.mean) or any(each != 1 for each in self.std):
            mean, std = (np.asarray(each, np.float32).reshape(3, 1, 1) for each in (self.mean, self.std))
            values = (values - mean) / std
        height, width, gain, pad = prepared
        return Prepared(np.ascontiguousarray(values, np.float32), height, width, gain, pad)


def _stretched(picture: Picture, side: int) -> tuple[NDArray[np.uint8], _Way]:
    """As a classifier's training does it: Pillow decodes, and resizes over the area a pixel covers."""
    from PIL import Image

    from mlops.data.depth import as_rgb

    if isinstance(picture, np.ndarray):
        opened = Image.fromarray(picture)
    else:
        source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
        try:
            opened = Image.open(source)
            opened.load()
        except (OSError, ValueError, SyntaxError, ImportError) as error:  # ultralytics asks for a plugin
            raise ValueError(f"{_named(picture)} cannot be read as a picture: {error}") from error
    square = as_rgb(opened).resize((side, side), Image.Resampling.BILINEAR)
    gain = side / opened.width, side / opened.height
    return np.asarray(square, np.uint8), (opened.height, opened.width, gain, (0, 0))


def _letterboxed(picture: Picture, side: int, value: int) -> tuple[NDArray[np.uint8], _Way]:
    """As a detector's training does it: the longer side becomes `side`, the rest is filled on both sides."""
    import cv2

    rgb = _decoded(picture)
    height, width = rgb.shape[:2]
    ratio = side / max(height, width)
    new_width, new_height = min(math.ceil(width * ratio), side), min(math.ceil(height * ratio), side)
    if ratio != 1:
        size = (new_width, new_height)
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    left, top = round((side - new_width) / 2 - 0.1), round((side - new_height) / 2 - 0.1)
    square = np.full((side, side, 3), value, np.uint8)
    square[top : top + new_height, left : left + new_width] = rgb
    return square, (height, width, (new_width / width, new_height / height), (left, top))


def _decoded(picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, upright."""
    import cv2

    if isinstance(picture, np.ndarray):
        return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    held = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    bgr = cv2.imdecode(np.frombuffer(held, np.uint8), cv2.IMREAD_COLOR) if held else None
    if bgr is None:
        raise ValueError(f"{_named(picture)} cannot be read as a picture")
    rgb: NDArray[np.uint8] = np.ascontiguousarray(bgr[:, :, ::-1])
    return rgb


def _named(picture: Picture) -> str:
    return "the bytes given" if isinstance(picture, bytes) else str(picture)
