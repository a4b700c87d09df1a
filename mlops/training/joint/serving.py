"""A trained joint network as one ONNX file with both answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.training.detection.serving import OUTPUT, exported
from mlops.training.protocol import ServingModel

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset
    from mlops.systems.recipe import DetectionRecipe

PROBABILITIES = "class_probabilities"


def export(recipe: DetectionRecipe, dataset: DetectionDataset, weights: Path, folder: Path) -> ServingModel:
    """Write `folder`/model.onnx: `output0` as every detector's, `class_probabilities` (batch, image classes).

    `preprocessing` names the classes of the boxes (`classes`) and of the pictures (`image_classes`); both
    answers are to the same letterboxed picture.
    """
    served = exported(recipe, dataset.classes, weights, folder, (OUTPUT, PROBABILITIES))
    return replace(
        served,
        preprocessing={
            **served.preprocessing,
            "image_classes": list(dataset.image_classes),
            "class_output": f"{PROBABILITIES}: (batch, image classes): probabilities of the whole picture",
        },
    )
