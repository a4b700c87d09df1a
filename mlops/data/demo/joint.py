"""OCT frames with two answers each: the suspicious lesions' boxes, and the class of the whole frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops.data.demo.oct import draw_frame
from mlops.data.demo.scene import Scene, Thing, write_yolo

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.demo.canvas import Rng
    from mlops.data.demo.plan import Plan

CLASSES = ("suspicious",)
FRAME_CLASSES = ("normal", "calcified", "suspicious")


def write_joint(folder: Path, plan: Plan) -> tuple[str, ...]:
    """A YOLO folder with boxes, and `labels.csv`: image (its path in the folder) and label of each frame."""
    labels = write_yolo(folder, plan, CLASSES, draw_scene)
    rows = "".join(f"{image},{label}\n" for image, label in labels.items())
    (folder / "labels.csv").write_text(f"image,label\n{rows}", encoding="utf-8")
    return CLASSES


def draw_scene(rng: Rng, side: int) -> Scene:
    """One frame of an even draw among `FRAME_CLASSES`; a suspicious one may hold a calcified patch too."""
    label = FRAME_CLASSES[int(rng.integers(len(FRAME_CLASSES)))]
    lesions = int(rng.integers(1, 3)) if label == "suspicious" else 0
    calcium = int(rng.integers(1, 3)) if label == "calcified" else int(lesions == 1 and rng.random() < 0.3)
    frame = draw_frame(rng, side, lesions, calcium)
    boxes = (np.stack([thing.outline.min(axis=0), thing.outline.max(axis=0)]) for thing in frame.things)
    return Scene(frame.picture, tuple(Thing(0, box) for box in boxes), label)
