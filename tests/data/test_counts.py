"""How many samples each class has, as runs record it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mlops.data.dataset import (
    Box,
    BoxedImage,
    ClassificationDataset,
    DetectionDataset,
    Identity,
    LabelledImages,
    class_counts,
)

_WHO = Identity("set", "set", "0" * 64)


def test_pictures_of_each_class_of_a_classification_set() -> None:
    labels = np.array([0, 2, 2], dtype=np.int64)
    train = LabelledImages(np.zeros((3, 4, 4, 3), np.uint8), labels)
    dataset = ClassificationDataset(_WHO, ("a", "b", "c"), {"train": train})
    assert class_counts(dataset) == {"train": {"a": 1, "b": 0, "c": 2}}


def test_objects_of_each_class_of_a_detection_set() -> None:
    boxes = (Box(1, 0.5, 0.5, 0.1, 0.1), Box(1, 0.2, 0.2, 0.1, 0.1))
    pictures = (BoxedImage(Path("a.jpg"), boxes), BoxedImage(Path("b.jpg"), ()))
    dataset = DetectionDataset(_WHO, ("bird", "kite"), {"train": pictures, "val": pictures[1:]})
    assert class_counts(dataset) == {"train": {"bird": 0, "kite": 2}, "val": {"bird": 0, "kite": 0}}
