"""Which task a model performs, from what its ONNX file gives. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.data.dataset import Task


def task_of_outputs(*, boxes: bool, image_classes: bool) -> Task:
    """The task of a model that gives boxes, probabilities of the image's class, or both.

    >>> task_of_outputs(boxes=True, image_classes=False)
    'detection'
    >>> task_of_outputs(boxes=True, image_classes=True)
    'joint'
    """
    if boxes:
        return "joint" if image_classes else "detection"
    return "classification"
