"""X-ray images of limbs: bones as bright tubes in soft tissue, broken in half of the images.

The class is the broken bone, as in the bone fracture set that the system is trained on; the outline is around
the break. `humerus` is a hairline break, `humerus fracture` a displaced break of the same bone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.data.demo.canvas import (
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
from mlops.data.demo.scene import DemoScene, Thing, write_yolo

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.demo.scene import DemoPlan

CLASSES = (
    "elbow positive",
    "fingers positive",
    "forearm fracture",
    "humerus fracture",
    "humerus",
    "shoulder fracture",
    "wrist positive",
)
NORMAL_SHARE = 0.5
HAIRLINE = CLASSES.index("humerus")


@dataclass(frozen=True, slots=True)
class Bone:
    """A tube; points and lengths are fractions of the image side. knob: radius of the head at `start`."""

    start: tuple[float, float]
    end: tuple[float, float]
    width: float
    knob: float = 0.0
    may_break: bool = True


HUMERUS = (Bone((0.5, 0.16), (0.5, 0.98), 0.13, knob=0.11),)
LIMBS: tuple[tuple[Bone, ...], ...] = (
    (Bone((0.2, 0.05), (0.48, 0.5), 0.13, knob=0.0), Bone((0.5, 0.52), (0.95, 0.62), 0.085),
     Bone((0.47, 0.6), (0.93, 0.76), 0.075)),
    tuple(
        Bone((0.2 + 0.2 * i, top), (0.2 + 0.2 * i, bottom), 0.075)
        for i in range(4) for top, bottom in ((0.08, 0.28), (0.33, 0.6), (0.65, 0.98))
    ),
    (Bone((0.37, 0.02), (0.4, 0.98), 0.1), Bone((0.63, 0.02), (0.6, 0.98), 0.09)),
    HUMERUS,
    HUMERUS,
    (Bone((0.62, 0.4), (0.7, 0.98), 0.13, knob=0.12), Bone((0.05, 0.18), (0.6, 0.24), 0.06),
     Bone((0.3, 0.35), (0.42, 0.85), 0.12, may_break=False)),
    (Bone((0.4, 0.55), (0.38, 0.98), 0.12), Bone((0.62, 0.55), (0.63, 0.98), 0.1),
     *(Bone((x, y), (x + 0.03, y), 0.09, may_break=False) for x in (0.36, 0.48, 0.6) for y in (0.36, 0.46)),
     *(Bone((x, 0.02), (x, 0.28), 0.06, may_break=False) for x in (0.33, 0.45, 0.57, 0.69))),
)  # fmt: skip


def write_xray(folder: Path, plan: DemoPlan) -> tuple[str, ...]:
    write_yolo(folder, plan, CLASSES, draw_scene)
    return CLASSES


def draw_scene(rng: Rng, side: int) -> DemoScene:
    """One limb, intact or with one break."""
    kind = int(rng.integers(len(CLASSES)))
    limb = LIMBS[kind]
    place = _placement(rng)
    grey = np.full((side, side, 1), rng.uniform(14, 34), np.float32)
    _tissue(rng, grey, limb, place)
    breakable = [i for i, bone in enumerate(limb) if bone.may_break]
    broken = None if rng.random() < NORMAL_SHARE else int(rng.choice(breakable))
    things = []
    for i, bone in enumerate(limb):
        if i == broken:
            outline = _broken_bone(rng, grey, bone, place, hairline=kind == HAIRLINE)
            things.append(Thing(kind, outline))
        else:
            start, end = _ends(bone, place, side)
            _tube(rng, grey, start, end, bone.width * side, bone.knob * side)
    grey = blur(grey, rng.uniform(0.4, 0.8)) * rng.uniform(0.8, 1.15)
    grey += 5 * smooth_noise(rng, side, 4)[..., None]
    return DemoScene(developed(rng, np.repeat(grey, 3, axis=2), grain=rng.uniform(2, 6)), tuple(things))


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of the limb in the image: x' = turn (x - middle) scale + middle + shift."""

    turn: Points
    shift: Points

    def __call__(self, point: tuple[float, float]) -> Points:
        placed: Points = self.turn @ (np.asarray(point) - 0.5) + 0.5 + self.shift
        return placed


def _placement(rng: Rng) -> Placement:
    angle, scale = rng.normal(0, 0.16), rng.uniform(0.88, 1.08)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Placement(turn @ np.diag([rng.choice([-1.0, 1.0]), 1.0]), rng.normal(0, 0.03, 2))


def _ends(bone: Bone, place: Placement, side: int) -> tuple[Points, Points]:
    return place(bone.start) * side, place(bone.end) * side


def _tissue(rng: Rng, grey: Plane, limb: tuple[Bone, ...], place: Placement) -> None:
    side = len(grey)
    flesh = np.zeros((side, side), np.float32)
    for bone in limb:
        start, end = _ends(bone, place, side)
        flesh = np.maximum(flesh, line_mask(side, np.stack([start, end]), (bone.width + 0.14) * side))
    level = rng.uniform(58, 82) + 6 * smooth_noise(rng, side, 8)[..., None]
    paint(grey, blur(flesh, side * 0.02), level)


def _tube(rng: Rng, grey: Plane, start: Points, end: Points, width: float, knob: float) -> None:
    """A bone: bright cortex, duller marrow, both ends rounded and a little wider."""
    side = len(grey)
    bend = (end - start)[::-1] * np.array([1, -1]) * rng.normal(0, 0.02)
    spine = np.stack([start, (start + end) / 2 + bend, end])
    cortex = line_mask(side, spine, width)
    marrow = line_mask(side, spine, 0.55 * width)
    for at, radius in ((start, max(knob, 0.56 * width)), (end, 0.56 * width)):
        head = wobbly_outline(rng, (at[0], at[1]), (radius, radius), 0.0, 0.03)
        cortex = np.maximum(cortex, polygon_mask(side, head))
    bright = rng.uniform(176, 206) + 10 * smooth_noise(rng, side, side // 5)[..., None]
    paint(grey, 0.9 * cortex, bright)
    paint(grey, 0.8 * blur(marrow, 1.0), bright - 44)


def _broken_bone(rng: Rng, grey: Plane, bone: Bone, place: Placement, hairline: bool) -> Points:
    """Draw `bone` with a break somewhere along it; returns the outline of the break, (K, 2) pixels."""
    side = len(grey)
    start, end = _ends(bone, place, side)
    width = bone.width * side
    low, high = np.clip(start, 0.08 * side, 0.92 * side), np.clip(end, 0.08 * side, 0.92 * side)
    at = low + (high - low) * rng.uniform(0.3, 0.7)
    along = (end - start) / np.hypot(*(end - start))
    across = np.array([-along[1], along[0]])
    step = 0.0 if hairline else width * rng.uniform(0.25, 0.5) * rng.choice([-1, 1])
    if hairline:
        _tube(rng, grey, start, end, width, bone.knob * side)
    else:
        lean = across * step / 2
        _tube(rng, grey, end + lean, at + lean + along, width, 0.0)
        _tube(rng, grey, start - lean, at - lean - along, width, bone.knob * side)
    slope = rng.normal(0, 0.35)
    offsets = np.linspace(-0.62, 0.62, 7)[:, None] * width
    crack = at + offsets * across + (offsets * slope + rng.normal(0, 0.07 * width, (7, 1))) * along
    paint(grey, 0.85 * line_mask(side, crack, rng.uniform(1.3, 2.2)), (42,))
    reach = (0.75 * width + 0.5 * abs(step), 0.55 * width + 2)
    angle = float(np.arctan2(across[1], across[0]))
    return np.clip(wobbly_outline(rng, (at[0], at[1]), reach, angle, 0.03, points=14), 0, side)
