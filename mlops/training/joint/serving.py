"""A trained joint network as one ONNX file with both answers, or with the one that it was trained for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.training.detection.serving import OUTPUT, exported
from mlops.training.joint.recipe import CLASSIFICATION, DETECTION, TASKS
from mlops.training.protocol import ServingModel

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset
    from mlops.systems.recipe import DetectionRecipe

PROBABILITIES = "class_probabilities"


def export(
    recipe: DetectionRecipe,
    dataset: DetectionDataset,
    weights: Path,
    folder: Path,
    tasks: Sequence[str] = TASKS,
) -> ServingModel:
    """Write `folder`/model.onnx: `output0` as every detector's, `class_probabilities` (batch, image classes).

    `preprocessing` names the classes of the boxes (`classes`) and of the pictures (`image_classes`); both
    answers are to the same letterboxed picture. A network of one task answers that alone, and its
    `preprocessing` says nothing of the other: without `nms` there are no boxes, without `image_classes` no
    classes of pictures.
    """
    name_of = {DETECTION: OUTPUT, CLASSIFICATION: PROBABILITIES}
    served = exported(recipe, dataset.classes, weights, folder, [name_of[task] for task in tasks])
    said = dict(served.preprocessing)
    if DETECTION not in tasks:
        del said["nms"], said["output"]
    if CLASSIFICATION in tasks:
        said["image_classes"] = list(dataset.image_classes)
        said["class_output"] = f"{PROBABILITIES}: (batch, image classes): probabilities of the whole picture"
    return replace(served, preprocessing=said)
