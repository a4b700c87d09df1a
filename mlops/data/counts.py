"""How many samples each class has in each split."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mlops.data.dataset import LabelledImages

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Split to class to annotated objects of a detection set, or to pictures of a classification set.

    Every class is there, with 0 where it has none.
    """
    counts: dict[str, dict[str, int]] = {}
    for split, items in dataset.splits.items():
        if isinstance(items, LabelledImages):
            found = Counter(int(label) for label in items.labels)
        else:
            found = Counter(box.class_index for picture in items for box in picture.boxes)
        counts[split] = {name: found[index] for index, name in enumerate(dataset.classes)}
    return counts
