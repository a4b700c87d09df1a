"""Drawing functions for the demo images.

A canvas is float32 (H, W, 3) in 0..255, a mask float32 (H, W) in 0..1.
All random numbers come from the generator passed in, so an image depends only on its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rng: TypeAlias = np.random.Generator
Plane: TypeAlias = NDArray[np.float32]
Picture: TypeAlias = NDArray[np.uint8]
Points: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = Sequence[float]


def pixel_grid(side: int) -> tuple[Plane, Plane]:
    """x and y of every pixel's centre, each (side, side): -1 at the left and top edge, 1 opposite."""
    line = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    return np.broadcast_to(line, (side, side)), np.broadcast_to(line[:, None], (side, side))


def soft_step(depth: Plane, edge: float) -> Plane:
    """1 where `depth` is well above 0, 0 well below, a ramp `edge` wide between."""
    ramp: Plane = np.clip(depth / edge + 0.5, 0, 1).astype(np.float32)
    return ramp


def smooth_noise(rng: Rng, side: int, cells: int) -> Plane:
    """(side, side) noise of unit scale that changes over side / cells pixels."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    fine = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float32)


def paint(canvas: Plane, mask: Plane, colour: Colour | Plane) -> None:
    """Blend `colour` (one colour, or a canvas) over `canvas`, weighted by `mask`."""
    canvas += mask[..., None] * (np.asarray(colour, dtype=np.float32) - canvas)


def polygon_mask(side: int, points: Points, finer: int = 3) -> Plane:
    """Anti-aliased mask of a polygon given in pixels, (K, 2) x and y."""
    board = Image.new("L", (side * finer, side * finer))
    ImageDraw.Draw(board).polygon([(float(x), float(y)) for x, y in points * finer], fill=255)
    return _shrunk(board, side)


def line_mask(side: int, points: Points, width: float, finer: int = 3) -> Plane:
    """Anti-aliased mask of an open line through `points`, (K, 2) pixels, `width` pixels wide."""
    board = Image.new("L", (side * finer, side * finer))
    path = [(float(x), float(y)) for x, y in points * finer]
    ImageDraw.Draw(board).line(path, fill=255, width=max(1, round(width * finer)), joint="curve")
    return _shrunk(board, side)


def _shrunk(board: Image.Image, side: int) -> Plane:
    return np.asarray(board.resize((side, side), Image.Resampling.BOX), dtype=np.float32) / np.float32(255)


def wobbly_outline(
    rng: Rng,
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    wobble: float,
    points: int = 28,
) -> Points:
    """(points, 2) outline of an ellipse whose radius varies by about the fraction `wobble`."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    stretch = np.ones(points)
    for wave in range(2, 6):
        stretch += wobble / wave * rng.standard_normal() * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    along, across = radii[0] * stretch * np.cos(turn), radii[1] * stretch * np.sin(turn)
    x = centre[0] + along * np.cos(angle) - across * np.sin(angle)
    y = centre[1] + along * np.sin(angle) + across * np.cos(angle)
    return np.stack([x, y], axis=1)


def blur(canvas: Plane, sigma: float) -> Plane:
    """Gaussian blur of a canvas or plane over its first two axes; edge values are repeated."""
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if a == axis else (0, 0) for a in range(canvas.ndim)]
        held = np.pad(canvas, padding, mode="edge")
        length = canvas.shape[axis]
        parts = [w * np.take(held, range(i, i + length), axis=axis) for i, w in enumerate(kernel)]
        canvas = np.sum(parts, axis=0, dtype=np.float32)
    return canvas


def developed(rng: Rng, canvas: Plane, grain: float) -> Picture:
    """The finished image: camera noise of `grain` grey levels, rounded to bytes."""
    noisy = canvas + grain * rng.standard_normal(canvas.shape).astype(np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
