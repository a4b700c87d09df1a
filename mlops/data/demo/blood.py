"""Stained white blood cells: the classes of PBC / BloodMNIST, with different nucleus, granules and colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.data.demo.canvas import (
    Colour,
    Picture,
    Plane,
    Rng,
    developed,
    paint,
    pixel_grid,
    smooth_noise,
    soft_step,
)
from mlops.data.demo.in_processes import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlops.data.demo.scene import DemoPlan, SplitPlan

# shares of the classes in PBC (Acevedo et al. 2020, doi 10.1016/j.dib.2020.105474)
SHARES = {
    "basophil": 0.071,
    "eosinophil": 0.182,
    "erythroblast": 0.091,
    "immature_granulocytes": 0.169,
    "lymphocyte": 0.071,
    "monocyte": 0.083,
    "neutrophil": 0.195,
    "platelet": 0.138,
}


@dataclass(frozen=True, slots=True)
class BloodCell:
    """Appearance of one class. Lengths are fractions of half the image; values are uniform in their range.

    lobes: number of parts of the nucleus. lobe: radius of one. spread: distance of the lobes from the centre.
    notch: depth of the dent of a kidney-shaped nucleus. granule: radius of one.
    """

    body: tuple[float, float]
    plasma: Colour
    nucleus: Colour
    lobes: tuple[int, int]
    lobe: tuple[float, float]
    spread: float = 0.0
    notch: tuple[float, float] = (0.0, 0.0)
    granules: tuple[int, int] = (0, 0)
    granule: float = 0.05
    granule_colour: Colour = (120, 80, 140)
    over_nucleus: bool = False


CELLS = {
    "basophil": BloodCell((0.50, 0.66), (196, 172, 208), (112, 78, 148), (2, 3), (0.22, 0.30), 0.20,
                     granules=(28, 60), granule=0.060, granule_colour=(66, 38, 112), over_nucleus=True),
    "eosinophil": BloodCell((0.54, 0.70), (228, 186, 186), (118, 72, 150), (2, 3), (0.20, 0.28), 0.24,
                       granules=(40, 90), granule=0.045, granule_colour=(222, 122, 104)),
    "erythroblast": BloodCell((0.36, 0.50), (190, 176, 200), (70, 40, 98), (1, 1), (0.22, 0.31)),
    "immature_granulocytes": BloodCell((0.56, 0.74), (204, 178, 208), (134, 86, 162), (1, 1), (0.34, 0.46),
                                  notch=(0.0, 0.35), granules=(8, 40), granule=0.030,
                                  granule_colour=(148, 84, 150)),
    "lymphocyte": BloodCell((0.40, 0.56), (168, 184, 222), (98, 62, 142), (1, 1), (0.32, 0.43)),
    "monocyte": BloodCell((0.58, 0.76), (184, 184, 208), (126, 92, 160), (1, 1), (0.36, 0.46),
                     notch=(0.30, 0.75), granules=(3, 10), granule=0.045, granule_colour=(206, 206, 224)),
    "neutrophil": BloodCell((0.52, 0.68), (232, 204, 210), (108, 66, 146), (3, 5), (0.15, 0.22), 0.27,
                       granules=(15, 45), granule=0.026, granule_colour=(214, 164, 184)),
    "platelet": BloodCell((0.14, 0.28), (188, 160, 204), (150, 108, 176), (0, 0), (0.0, 0.0),
                     granules=(6, 16), granule=0.040, granule_colour=(128, 78, 152)),
}  # fmt: skip
CLASSES = tuple(CELLS)


def write_blood(folder: Path, plan: DemoPlan) -> tuple[str, ...]:
    """Write one npz with MedMNIST's keys, and `classes`: the names in the order of the labels."""
    arrays: dict[str, Any] = {"classes": np.array(CLASSES)}
    for split in plan.splits:
        labels = _labels(split.rng(), split.pictures)
        names = [CLASSES[label] for label in labels]
        arrays[f"{split.name}_images"] = np.stack(drawn(partial(_cell, split, names, plan.side), len(names)))
        arrays[f"{split.name}_labels"] = labels.astype(np.uint8)[:, None]
    np.savez_compressed(folder / "blood_cells.npz", **arrays)
    return CLASSES


def _cell(split: SplitPlan, names: Sequence[str], side: int, number: int) -> Picture:
    return draw_cell(split.rng(number), names[number], side)


def _labels(rng: Rng, count: int) -> NDArray[np.int64]:
    """Labels of `count` images: every class, about as frequent as in PBC, shuffled."""
    shares = np.array([SHARES[name] for name in CLASSES])
    each = np.maximum(1, np.floor(shares * count)).astype(np.int64)
    rest = rng.choice(len(CLASSES), size=max(0, count - int(each.sum())), p=shares / shares.sum())
    labels = np.concatenate([np.repeat(np.arange(len(CLASSES)), each), rest])[:count]
    return rng.permutation(labels)


def draw_cell(rng: Rng, name: str, side: int) -> Picture:
    """One cell of class `name` among red cells: uint8 (side, side, 3)."""
    fine = side * 2
    x, y = pixel_grid(fine)
    stain = _stain(rng)
    canvas = np.empty((fine, fine, 3), np.float32)
    canvas[:] = np.asarray((238, 226, 222), np.float32) + rng.normal(0, 5, 3).astype(np.float32)
    canvas += 4 * smooth_noise(rng, fine, 3)[..., None]
    for _ in range(rng.integers(2, 7)):
        _red_cell(rng, canvas, x, y)
    _white_cell(rng, canvas, x + rng.normal(0, 0.09), y + rng.normal(0, 0.09), CELLS[name], stain)
    if rng.random() < 0.3:
        _red_cell(rng, canvas, x, y, nearest=0.95)
    canvas = (canvas - 128) * rng.uniform(0.72, 1.08) + 128 + rng.normal(0, 10)
    small = canvas.reshape(side, 2, side, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    return developed(rng, small, grain=rng.uniform(3, 9))


def _stain(rng: Rng) -> NDArray[np.float32]:
    """The colour offset of this slide's staining."""
    return (rng.normal(0, 8, 3) + rng.normal(0, 8)).astype(np.float32)


def _red_cell(rng: Rng, canvas: Plane, x: Plane, y: Plane, nearest: float = 0.62) -> None:
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(nearest, 1.25)
    radius = rng.uniform(0.28, 0.40)
    distance = np.hypot(x - away * np.cos(turn), y - away * np.sin(turn))
    pale = soft_step(radius * 0.55 - distance, 0.3)
    colour = np.asarray((222, 168, 160), np.float32) + rng.normal(0, 7, 3).astype(np.float32)
    paint(canvas, soft_step(radius - distance, 0.05) * (0.85 - 0.5 * pale), colour)


def _white_cell(
    rng: Rng, canvas: Plane, x: Plane, y: Plane, cell: BloodCell, stain: NDArray[np.float32]
) -> None:
    body = rng.uniform(*cell.body)
    inside = _disc(rng, x, y, body, wobble=0.10)
    texture = 7 * smooth_noise(rng, len(x), 14)[..., None]
    paint(canvas, 0.93 * inside, np.asarray(cell.plasma, np.float32) + stain + texture)
    nucleus = _nucleus(rng, x, y, cell, body)
    if not cell.over_nucleus:
        _granules(rng, canvas, x, y, cell, body, inside, stain)
    chromatin = 16 * smooth_noise(rng, len(x), 18)[..., None]
    paint(canvas, 0.95 * nucleus * inside, np.asarray(cell.nucleus, np.float32) + stain + chromatin)
    if cell.over_nucleus:
        _granules(rng, canvas, x, y, cell, body, inside, stain)


def _disc(rng: Rng, x: Plane, y: Plane, radius: float, wobble: float) -> Plane:
    """Mask of a round shape about the origin, whose radius varies by the fraction `wobble`."""
    turn = np.arctan2(y, x)
    edge = np.ones(x.shape)
    for wave in (1, 2, 3):
        edge += wobble / wave * rng.standard_normal() * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    return soft_step((radius * edge - np.hypot(x, y)).astype(np.float32), 0.05)


def _nucleus(rng: Rng, x: Plane, y: Plane, cell: BloodCell, body: float) -> Plane:
    lobes = int(rng.integers(cell.lobes[0], cell.lobes[1] + 1))
    mask = np.zeros_like(x)
    start, arc = rng.uniform(0, 2 * np.pi), rng.uniform(1.1, 1.7)
    for lobe in range(lobes):
        turn = start + arc * lobe
        away = 0.0 if lobes == 1 else cell.spread * rng.uniform(0.8, 1.2)
        offset = rng.normal(0, 0.05, 2) if lobes == 1 else np.zeros(2)
        cx, cy = away * np.cos(turn) + offset[0], away * np.sin(turn) + offset[1]
        radius = min(rng.uniform(*cell.lobe), 0.93 * body)
        mask = np.maximum(mask, _disc(rng, x - np.float32(cx), y - np.float32(cy), radius, wobble=0.07))
    depth = rng.uniform(*cell.notch)
    if depth > 0.05:
        reach = cell.lobe[1]
        dent = np.hypot(x - reach * np.cos(start), y - reach * np.sin(start))
        mask = mask * (1 - soft_step((depth * reach - dent).astype(np.float32), 0.06))
    return mask


def _granules(
    rng: Rng,
    canvas: Plane,
    x: Plane,
    y: Plane,
    cell: BloodCell,
    body: float,
    inside: Plane,
    stain: NDArray[np.float32],
) -> None:
    count = int(rng.integers(cell.granules[0], cell.granules[1] + 1))
    mask = np.zeros_like(x)
    for _ in range(count):
        turn, away = rng.uniform(0, 2 * np.pi), body * 0.92 * np.sqrt(rng.random())
        cx, cy = np.float32(away * np.cos(turn)), np.float32(away * np.sin(turn))
        radius = cell.granule * rng.uniform(0.7, 1.3)
        mask = np.maximum(mask, soft_step(radius - np.hypot(x - cx, y - cy), 0.03))
    if count:
        paint(canvas, 0.8 * mask * inside, np.asarray(cell.granule_colour, np.float32) + stain)
