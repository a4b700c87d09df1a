"""Tables of boxes made by a rule, and pycocotools' word on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlops.metrics.samples.boxes import Boxes

CLASSES = ("crack", "nest", "kite")


def made_boxes(seed: int, pictures: int = 25, objects: int = 5, given: int = 12, shift: float = 2.0) -> Boxes:
    """Objects by `pictures` alone, predictions by `seed`: up to `shift` pixels off, and elsewhere."""
    annotated, rng = np.random.default_rng(pictures), np.random.default_rng(seed)
    rows: list[tuple[str, int, float, NDArray[np.float64]]] = []
    for number in range(pictures):
        count = int(annotated.integers(0, objects + 1))
        corner = annotated.random((count, 2)) * 60
        truths = np.concatenate([corner, corner + 10 + annotated.random((count, 2)) * 20], axis=1)
        kinds = annotated.integers(0, len(CLASSES), count)
        name = f"{number:04d}.jpg"
        rows += [(name, int(kind), float("nan"), box) for kind, box in zip(kinds, truths, strict=True)]
        for _ in range(int(rng.integers(0, given + 1))):
            if count and rng.random() < 0.6:
                at = int(rng.integers(count))
                box, kind = truths[at] + rng.normal(0, shift * rng.random(), 4), int(kinds[at])
            else:
                low = rng.random(2) * 60
                box, kind = (
                    np.concatenate([low, low + 5 + rng.random(2) * 20]),
                    int(rng.integers(len(CLASSES))),
                )
            box[2:] = np.maximum(box[2:], box[:2] + 1)
            rows.append((name, kind, float(np.round(rng.random(), 3)), box))
    score = np.array([row[2] for row in rows])
    return Boxes(
        image=np.array([row[0] for row in rows]),
        truth=np.isnan(score),
        class_index=np.array([row[1] for row in rows]),
        score=score,
        corners=np.array([row[3] for row in rows]).reshape(-1, 4),
        matched=np.zeros(len(rows), bool),
    )


def repeated(boxes: Boxes, weights: NDArray[np.int64]) -> Boxes:
    """The boxes of a draw: those of each picture (in the order of the names) so often as `weights` says."""
    names = np.unique(boxes.image)
    parts = [
        (np.flatnonzero(boxes.image == name), f"{name}-{copy}")
        for name, weight in zip(names, weights, strict=True)
        for copy in range(int(weight))
    ]
    rows = np.concatenate([rows for rows, _ in parts])
    image = np.concatenate([np.full(len(rows), name) for rows, name in parts])
    return Boxes(
        image,
        boxes.truth[rows],
        boxes.class_index[rows],
        boxes.score[rows],
        boxes.corners[rows],
        boxes.matched[rows],
    )
