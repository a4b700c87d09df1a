"""Run a version's ONNX file on a split; gives the same per-sample table as training's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.data.dataset import ClassificationDataset
from mlops.metrics.samples.boxes import Boxes, joined, pair_up
from mlops.metrics.samples.image_names import picture_names
from mlops.metrics.samples.sample_tables import ClassTable
from mlops.prediction.onnx_model import AS_IT_IS, Flip, PredictedBoxes, Predictor
from mlops.terminal.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlops.data.dataset import BoxedImage, Dataset, DetectionDataset, SplitName

LEAST_SCORE, IOU, MOST = 0.001, 0.7, 300  # as in the library's validation
_CHUNK = 256


def ask_boxes(
    predictor: Predictor, dataset: DetectionDataset, split: SplitName, flip: Flip = AS_IT_IS
) -> Boxes:
    """Every box with score >= 0.001 on the split, and every annotated box, in pixels.

    Raises ValueError for an unreadable image.
    """
    pictures = dataset.splits[split]
    names = picture_names(dataset, split)
    files = [picture.image for picture in pictures]
    answers = predictor.boxes(files, score=LEAST_SCORE, iou=IOU, most=MOST, several_classes=True, flip=flip)
    told = counted(answers, len(files), f"predicting {split}")
    return with_matches(joined(_rows(*each) for each in zip(names, pictures, told, strict=True)))


def ask_answers(
    predictor: Predictor, dataset: Dataset, split: SplitName, flip: Flip = AS_IT_IS
) -> ClassTable:
    """The probabilities of every labelled image of the split.

    Raises ValueError for an unreadable image.
    """
    asked = _classed(dataset, split)
    count = len(asked.truth)
    chunks = (asked.images[start : start + _CHUNK] for start in range(0, count, _CHUNK))
    rows = [
        predictor.probabilities(chunk, flip=flip)
        for chunk in counted(chunks, -(-count // _CHUNK), f"predicting {split}")
    ]
    return ClassTable(
        image=np.array(asked.names, dtype=str),
        source=np.array(asked.sources or [dataset.identity.name] * count, dtype=str),
        truth=asked.truth,
        probabilities=np.concatenate(rows) if rows else predictor.probabilities(()),
        classes=predictor.image_classes,
    )


@dataclass(frozen=True, slots=True)
class _Classed:
    images: Sequence[Path] | NDArray[np.uint8]
    names: tuple[str, ...]
    truth: NDArray[np.int64]
    sources: tuple[str, ...]


def _classed(dataset: Dataset, split: SplitName) -> _Classed:
    names = picture_names(dataset, split)
    if isinstance(dataset, ClassificationDataset):
        labelled = dataset.splits[split]
        return _Classed(labelled.images, names, labelled.labels, labelled.sources)
    pictures = dataset.splits[split]
    known = [index for index, picture in enumerate(pictures) if picture.image_class >= 0]
    return _Classed(
        images=[pictures[index].image for index in known],
        names=tuple(names[index] for index in known),
        truth=np.array([pictures[index].image_class for index in known], np.int64),
        sources=tuple(pictures[index].source for index in known),
    )


def with_matches(boxes: Boxes) -> Boxes:
    """The same rows, with the matches at IoU 0.5 recomputed."""
    matched = (pair_up(boxes).partner >= 0) & ~boxes.truth
    return Boxes(boxes.image, boxes.truth, boxes.class_index, boxes.score, boxes.corners, matched)


def _rows(name: str, picture: BoxedImage, found: PredictedBoxes) -> Boxes:
    edge = np.array([found.width, found.height] * 2, np.float64)
    truths = np.array(
        [
            (box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2)
            for box in picture.boxes
        ],
        np.float64,
    ).reshape(-1, 4)
    count = len(truths) + len(found)
    return Boxes(
        image=np.array([name] * count, dtype=str),
        truth=np.arange(count) < len(truths),
        class_index=np.concatenate(
            [np.array([box.class_index for box in picture.boxes], np.int64), found.class_index]
        ),
        score=np.concatenate([np.full(len(truths), np.nan), found.score]),
        corners=np.concatenate([truths.clip(0, 1) * edge, found.corners.astype(np.float64)]),
        matched=np.zeros(count, np.bool_),
    )
