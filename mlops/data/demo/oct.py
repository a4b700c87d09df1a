"""Intravascular OCT in polar form (rows: depth, columns: angle) with boxes and the frame's class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops.data.demo.canvas import Plane, Points, Rng, blur, line_mask, polygon_mask, smooth_noise
from mlops.data.demo.scene import DemoScene, Thing, write_yolo

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.demo.scene import DemoPlan

CLASSES = ("suspicious",)
NORMAL_SHARE = 0.3


def write_oct(folder: Path, plan: DemoPlan) -> tuple[str, ...]:
    write_yolo(folder, plan, CLASSES, draw_scene)
    return CLASSES


def draw_scene(rng: Rng, side: int) -> DemoScene:
    """One frame of a pullback with no lesion, one or two, each outlined."""
    count = 0 if rng.random() < NORMAL_SHARE else int(rng.choice([1, 2], p=[0.7, 0.3]))
    return draw_frame(rng, side, lesions=count)


def draw_frame(rng: Rng, side: int, lesions: int, calcium: int = 0) -> DemoScene:
    """A frame with lesions, which are outlined, and calcified patches, which are not; 2 in total at most."""
    surface = _surface(rng, side)
    depth = ((np.arange(side)[:, None] - surface[None, :]) / side).astype(np.float32)
    echo = _wall(rng, depth)
    places = rng.permutation([0.05, 0.55])
    outlines = [_lesion(rng, echo, surface, depth, left) for left in places[:lesions]]
    for left in places[lesions : lesions + calcium]:
        _calcium(rng, echo, surface, left)
    _shadows(rng, echo, depth)
    _catheter(rng, echo)
    fine, coarse = (rng.rayleigh(0.8, echo.shape).astype(np.float32) for _ in range(2))
    speckle = 0.55 * fine + 0.45 * blur(coarse, 0.8)
    grey = 255 * np.clip(echo * speckle + 0.03, 0, 1) ** rng.uniform(0.6, 0.8)
    picture = np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
    return DemoScene(picture, tuple(Thing(0, outline) for outline in outlines))


def _surface(rng: Rng, side: int) -> Plane:
    """The row where the wall begins, for each column; both ends meet, as in a full turn."""
    turn = np.linspace(0, 2 * np.pi, side, endpoint=False)
    row = np.full(side, side * rng.uniform(0.22, 0.38))
    for wave in (1, 2, 3):
        row += side * rng.normal(0, 0.05) / wave * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    inside: Plane = np.clip(row, 0.12 * side, 0.5 * side).astype(np.float32)
    return inside


def _wall(rng: Rng, depth: Plane) -> Plane:
    """Echo of a healthy wall by depth: bright intima, dark media, bright adventitia, then decay."""
    intima, media = rng.uniform(0.05, 0.09), rng.uniform(0.04, 0.07)
    bounds = np.array([-0.004, 0.004, intima, intima + 0.02, intima + media, intima + media + 0.02, 0.9])
    levels = np.array([0.02, 0.85, 0.70, 0.32, 0.30, 0.60, 0.22]) * rng.uniform(0.85, 1.1)
    wavy = depth + 0.008 * smooth_noise(rng, len(depth), 8)
    wall = np.interp(wavy, bounds, levels) * np.exp(-np.clip(depth, 0, None) / rng.uniform(0.35, 0.6))
    lively: Plane = (wall * (1 + 0.12 * smooth_noise(rng, len(depth), 20))).astype(np.float32)
    return lively


def _lesion(rng: Rng, echo: Plane, surface: Plane, depth: Plane, left: float) -> Points:
    """Draw one in the half that begins at `left` (a fraction); returns its outline, (K, 2) pixels."""
    side = len(echo)
    width = side * rng.uniform(0.18, 0.32)
    middle = side * (left + rng.uniform(0.0, 0.12)) + width / 2
    outline = _lens(rng, surface, middle, width, thickness=side * rng.uniform(0.12, 0.2))
    pool = blur(polygon_mask(side, outline), side * 0.012)
    echo *= 1 - pool * rng.uniform(0.68, 0.85)
    below = (depth > 0) & (np.cumsum(pool, axis=0) > 1) & (pool < 0.3)
    echo *= 1 - blur(below.astype(np.float32), side * 0.02) * np.float32(rng.uniform(0.25, 0.55))
    cap = (depth > 0) & (depth < 0.03) & (pool.max(axis=0) > 0.3)
    echo += cap * np.float32(0.2)
    return outline


def _calcium(rng: Rng, echo: Plane, surface: Plane, left: float) -> None:
    """A calcified patch: dark as a lesion, but with a sharp bright edge and visible layers below."""
    side = len(echo)
    width = side * rng.uniform(0.16, 0.28)
    middle = side * (left + rng.uniform(0.0, 0.14)) + width / 2
    outline = _lens(rng, surface, middle, width, thickness=side * rng.uniform(0.1, 0.16))
    echo *= 1 - polygon_mask(side, outline) * rng.uniform(0.65, 0.8)
    edge = line_mask(side, np.concatenate([outline, outline[:1]]), side * 0.012)
    echo += edge * np.float32(rng.uniform(0.3, 0.45))


def _lens(rng: Rng, surface: Plane, middle: float, width: float, thickness: float) -> Points:
    """Outline, (K, 2) pixels, of a pool that follows the surface a little below it."""
    side = len(surface)
    x = np.linspace(middle - width / 2, middle + width / 2, 12)
    bulge = np.sin(np.linspace(0, np.pi, len(x))) ** 0.7
    roof = np.interp(x, np.arange(side), surface) + side * rng.uniform(0.02, 0.035)
    floor = roof + thickness * bulge * (1 + rng.normal(0, 0.06, len(x)))
    around = np.concatenate([np.stack([x, roof], axis=1), np.stack([x, floor], axis=1)[-2:0:-1]])
    inside: Points = np.clip(around, 0, side)
    return inside


def _shadows(rng: Rng, echo: Plane, depth: Plane) -> None:
    """The guide wire's shadow and sometimes a side branch: dark columns with straight edges."""
    side = len(echo)
    for chance, width in ((0.8, 0.06), (0.25, 0.1)):
        if rng.random() < chance:
            reach = side * width * rng.uniform(0.7, 1.2)
            away = np.abs(np.arange(side) - rng.uniform(0, side))
            away = np.minimum(away, side - away)
            dark = np.clip((reach / 2 - away) / 2 + 0.5, 0, 1).astype(np.float32)
            echo *= 1 - 0.88 * dark[None, :] * (depth > -0.01)


def _catheter(rng: Rng, echo: Plane) -> None:
    """Bright rings of the probe itself at the top."""
    side = len(echo)
    for row in side * rng.uniform(0.01, 0.08, 3):
        echo[int(row) : int(row) + max(1, side // 100)] += np.float32(rng.uniform(0.2, 0.6))


_JOINT_CLASSES = ("suspicious",)
FRAME_CLASSES = ("normal", "calcified", "suspicious")


def write_joint(folder: Path, plan: DemoPlan) -> tuple[str, ...]:
    """A YOLO folder with boxes, and `labels.csv`: image (its path in the folder) and label of each frame."""
    labels = write_yolo(folder, plan, _JOINT_CLASSES, draw_joint_scene)
    rows = "".join(f"{image},{label}\n" for image, label in labels.items())
    (folder / "labels.csv").write_text(f"image,label\n{rows}", encoding="utf-8")
    return _JOINT_CLASSES


def draw_joint_scene(rng: Rng, side: int) -> DemoScene:
    """One frame of a random class of `FRAME_CLASSES`; a suspicious one may have a calcified patch."""
    label = FRAME_CLASSES[int(rng.integers(len(FRAME_CLASSES)))]
    lesions = int(rng.integers(1, 3)) if label == "suspicious" else 0
    calcium = int(rng.integers(1, 3)) if label == "calcified" else int(lesions == 1 and rng.random() < 0.3)
    frame = draw_frame(rng, side, lesions, calcium)
    boxes = (np.stack([thing.outline.min(axis=0), thing.outline.max(axis=0)]) for thing in frame.things)
    return DemoScene(frame.picture, tuple(Thing(0, box) for box in boxes), label)
