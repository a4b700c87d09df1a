"""Railway lines seen from a camera: sky, rails, masts, wires, and four kinds of foreign objects on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops.data.demo.canvas import (
    Colour,
    Plane,
    Points,
    Rng,
    blur,
    developed,
    line_mask,
    paint,
    polygon_mask,
    smooth_noise,
    wobbly_outline,
)
from mlops.data.demo.scene import DemoScene, Thing, box_of, write_yolo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from mlops.data.demo.scene import DemoPlan

CLASSES = ("niaocao", "piaofuwu", "qiqiu", "suliaodai")  # bird's nest, drifting object, balloon, plastic bag
BACKGROUND_SHARE = 0.08
BRIGHT: tuple[Colour, ...] = ((208, 46, 50), (238, 186, 40), (44, 98, 200), (60, 158, 84), (226, 118, 176))


def write_railway(folder: Path, plan: DemoPlan) -> tuple[str, ...]:
    write_yolo(folder, plan, CLASSES, draw_scene)
    return CLASSES


def draw_scene(rng: Rng, side: int) -> DemoScene:
    """One view of the line with none to three objects."""
    canvas, wires = _line_side(rng, side)
    things: list[Thing] = []
    taken: list[NDArray[np.float64]] = []
    count = 0 if rng.random() < BACKGROUND_SHARE else int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    for _ in range(count):
        kind = int(rng.integers(len(CLASSES)))
        place = _free_place(rng, side, wires, taken)
        if place is None:
            continue
        taken.append(place)
        mask = PAINTERS[kind](rng, canvas, place, side * rng.uniform(0.085, 0.15))
        things.append(Thing(kind, box_of(mask)))
    for _ in range(rng.integers(0, 3)):
        _bird(rng, canvas)
    canvas = blur(canvas, rng.uniform(0.3, 0.7)) * rng.uniform(0.75, 1.1)
    return DemoScene(developed(rng, canvas, grain=rng.uniform(2, 8)), tuple(things))


def _line_side(rng: Rng, side: int) -> tuple[Plane, list[Points]]:
    """The scene without objects, and the wires for hanging objects, each (K, 2) pixels."""
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    sky = np.asarray((150, 182, 214), np.float32) + rng.normal(0, 14, 3).astype(np.float32)
    canvas = np.broadcast_to(sky + down * (214 - sky) * rng.uniform(0.2, 0.9), (side, side, 3)).astype(
        np.float32
    )
    clouds = np.clip(smooth_noise(rng, side, 5) - rng.uniform(0.2, 1.2), 0, 1)
    paint(canvas, 0.6 * clouds, (236, 238, 242))
    horizon = side * rng.uniform(0.62, 0.75)
    _hills(rng, canvas, horizon)
    _rails(rng, canvas, horizon)
    wires = [_wire(rng, side, horizon) for _ in range(rng.integers(2, 5))]
    for wire in wires:
        paint(canvas, 0.9 * line_mask(side, wire, rng.uniform(0.6, 1.3)), (58, 60, 66))
    _mast(rng, canvas, horizon)
    return canvas, wires


def _hills(rng: Rng, canvas: Plane, horizon: float) -> None:
    side = len(canvas)
    x = np.linspace(0, side, 24)
    top = horizon - side * 0.05 * (1 + np.sin(x / side * rng.uniform(3, 9) + rng.uniform(0, 6)))
    top -= np.abs(rng.normal(0, side * 0.012, len(x)))
    outline = np.stack([np.append(x, [side, 0]), np.append(top, [side, side])], axis=1)
    green = np.asarray((92, 116, 84), np.float32) + rng.normal(0, 12, 3).astype(np.float32)
    paint(canvas, polygon_mask(side, outline), green + 9 * smooth_noise(rng, side, 30)[..., None])


def _rails(rng: Rng, canvas: Plane, horizon: float) -> None:
    side = len(canvas)
    vanish = side * rng.uniform(0.3, 0.7)
    near = side * rng.uniform(0.35, 0.65)
    bed = np.array([[vanish, horizon], [near + 0.45 * side, side], [near - 0.45 * side, side]])
    grey = np.asarray((134, 126, 118), np.float32) + rng.normal(0, 8, 3).astype(np.float32)
    paint(canvas, polygon_mask(side, bed), grey + 14 * smooth_noise(rng, side, 60)[..., None])
    for offset in (-0.22, 0.22):
        rail = np.array([[vanish, horizon], [near + offset * side, side]])
        paint(canvas, line_mask(side, rail, side * 0.012), (88, 84, 84))


def _wire(rng: Rng, side: int, horizon: float) -> Points:
    x = np.linspace(-2, side + 2, 20)
    start, end = rng.uniform(0.08, 0.8, 2) * horizon
    sag = rng.uniform(0, 0.06) * side * (1 - (2 * x / side - 1) ** 2)
    return np.stack([x, start + (end - start) * x / side + sag], axis=1)


def _mast(rng: Rng, canvas: Plane, horizon: float) -> None:
    side = len(canvas)
    foot = side * rng.uniform(0.05, 0.95)
    arm = horizon * rng.uniform(0.15, 0.5)
    reach = foot + rng.choice([-1, 1]) * side * rng.uniform(0.15, 0.3)
    steel = np.asarray((112, 112, 116), np.float32) + rng.normal(0, 10, 3).astype(np.float32)
    for points in ([[foot, horizon + 0.1 * side], [foot, 0.05 * side]], [[foot, arm], [reach, arm * 0.8]]):
        paint(canvas, line_mask(side, np.array(points), side * 0.02), steel)
    for bead in np.linspace(0.5, 0.9, 4):  # insulators
        at = np.array([foot, arm]) * (1 - bead) + np.array([reach, arm * 0.8]) * bead
        paint(canvas, polygon_mask(side, wobbly_outline(rng, tuple(at), (2.2, 1.6), 0, 0)), (150, 90, 70))


def _bird(rng: Rng, canvas: Plane) -> None:
    side = len(canvas)
    at, span = rng.uniform(0.05, 0.55, 2) * side, rng.uniform(0.015, 0.03) * side
    at[0] *= 1.7
    wings = at + span * np.array([[-1, -0.6], [0, 0], [1, -0.6]])
    paint(canvas, line_mask(side, wings, 1.2), (48, 46, 50))


def _free_place(rng: Rng, side: int, wires: list[Points], taken: list[Points]) -> Points | None:
    """A point on a wire, far enough from the edge and from other objects."""
    for _ in range(12):
        wire = wires[int(rng.integers(len(wires)))]
        at: Points = wire[int(rng.integers(3, len(wire) - 3))] + rng.normal(0, 1.5, 2)
        if 0.14 * side < at[1] and all(np.hypot(*(at - other)) > 0.26 * side for other in taken):
            return at
    return None


def _nest(rng: Rng, canvas: Plane, at: Points, size: float) -> Plane:
    """A heap of brown twigs, wider than high."""
    side = len(canvas)
    heap = polygon_mask(
        side, wobbly_outline(rng, (at[0], at[1]), (size, 0.62 * size), rng.normal(0, 0.1), 0.15)
    )
    brown = np.asarray((88, 66, 46), np.float32) + rng.normal(0, 10, 3).astype(np.float32)
    paint(canvas, 0.9 * heap, brown + 14 * smooth_noise(rng, side, side // 3)[..., None])
    for _ in range(16):
        turn, lean = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.9)
        middle = at + np.array([np.cos(turn), 0.6 * np.sin(turn)]) * size * rng.uniform(0.3, 0.95)
        half = np.array([np.cos(lean), np.sin(lean)]) * size * rng.uniform(0.2, 0.4)
        twig = line_mask(side, np.stack([middle - half, middle + half]), 0.9)
        paint(canvas, 0.8 * twig, brown * rng.uniform(0.5, 1.5))
    return heap


def _drifter(rng: Rng, canvas: Plane, at: Points, size: float) -> Plane:
    """A bright ribbon or cloth caught on the wire, hanging in waves."""
    side = len(canvas)
    fall = np.linspace(0, 1, 12)
    drift = size * (0.25 * np.sin(fall * rng.uniform(4, 8) + rng.uniform(0, 6)) + rng.normal(0, 0.5) * fall)
    spine = np.stack([at[0] + drift, at[1] - 0.2 * size + 2.3 * size * fall], axis=1)
    mask = line_mask(side, spine, size * rng.uniform(0.28, 0.45))
    shade = 1 + 0.18 * np.sin(np.arange(side, dtype=np.float32) * rng.uniform(0.5, 1.1))[:, None, None]
    colour = np.asarray(BRIGHT[rng.integers(len(BRIGHT))], np.float32) + rng.normal(0, 12, 3).astype(
        np.float32
    )
    paint(canvas, 0.92 * mask, np.broadcast_to(colour * shade, canvas.shape))
    return mask


def _balloon(rng: Rng, canvas: Plane, at: Points, size: float) -> Plane:
    """A bright oval with a highlight and a string."""
    side = len(canvas)
    centre = at - np.array([0, 0.9 * size])
    lean = rng.normal(0, 0.2)
    mask = polygon_mask(side, wobbly_outline(rng, tuple(centre), (0.72 * size, 0.9 * size), lean, 0.02))
    colour = np.asarray(BRIGHT[rng.integers(len(BRIGHT))], np.float32) + rng.normal(0, 12, 3).astype(
        np.float32
    )
    ends = np.array([[0, 0.85 * size], [0, 0.5 * size]])
    string = np.stack([centre, at + rng.normal(0, 1.5, 2)]) + ends
    paint(canvas, line_mask(side, string, 0.8), (70, 70, 74))
    paint(canvas, 0.95 * mask, colour)
    gleam = wobbly_outline(rng, tuple(centre - 0.3 * size), (0.2 * size, 0.14 * size), -0.7, 0.1)
    paint(canvas, 0.7 * polygon_mask(side, gleam), (252, 250, 246))
    return mask


def _bag(rng: Rng, canvas: Plane, at: Points, size: float) -> Plane:
    """A pale crumpled bag that the background shines through."""
    side = len(canvas)
    mask = polygon_mask(side, wobbly_outline(rng, (at[0], at[1] + 0.6 * size), (0.8 * size, size), 0.0, 0.28))
    pale = np.asarray((232, 230, 228), np.float32) + rng.normal(0, 9, 3).astype(np.float32)
    folds = 34 * np.abs(smooth_noise(rng, side, side // 5))[..., None]
    paint(canvas, rng.uniform(0.75, 0.92) * mask, pale - folds)
    return mask


PAINTERS: tuple[Callable[[Rng, Plane, Points, float], Plane], ...] = (_nest, _drifter, _balloon, _bag)
