"""Export the best weights to ONNX; input: images in 0..1, output: probabilities."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mlops.errors import TrainingCrashed
from mlops.prediction.mlflow_model import ServingModel
from mlops.prediction.onnx_sessions import open_session
from mlops.training.classification import timm_network as networks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops.systems.recipe import ClassificationRecipe

INPUT, OUTPUT = "images", "probabilities"
TOLERANCE = 1e-4  # largest difference of a probability between the file and the network


class _Served(nn.Module):
    """Normalisation, network and softmax in one module."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        norm = networks.normalisation(network)
        self.network = network
        self.register_buffer("mean", torch.tensor(norm.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(norm.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.network((images - self.mean) / self.std), 1)


def network_served(recipe: ClassificationRecipe, classes: int, weights: Path) -> _Served:
    """The module to export, with the best weights, in evaluation mode. Raises MissingWeights."""
    return _Served(networks.rebuild(recipe, classes, weights)).eval()


def export(recipe: ClassificationRecipe, classes: Sequence[str], weights: Path, folder: Path) -> ServingModel:
    """Write `folder/model.onnx` and compare it with the network for batches of one and three images.

    Raises TrainingCrashed if they differ by more than `TOLERANCE`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, side = folder / "model.onnx", recipe.image_size
    served = network_served(recipe, len(classes), weights)
    with _silent():
        torch.onnx.export(
            served,
            (torch.zeros(2, 3, side, side),),
            str(file),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1, max=4096)}},
            external_data=False,
            dynamo=True,
        )
    _compare(served, file, side)
    return ServingModel(
        onnx=file,
        input_name=INPUT,
        input_shape=(-1, 3, side, side),
        outputs={OUTPUT: (-1, len(classes))},
        preprocessing=_preprocessing(served.network, classes, side),
    )


def _compare(served: nn.Module, file: Path, side: int) -> None:
    session = open_session(file)
    for count in (1, 3):
        pictures = np.random.default_rng(count).random((count, 3, side, side), dtype=np.float32)
        with torch.inference_mode():
            expected = served(torch.from_numpy(pictures)).numpy()
        difference = float(np.abs(session.run(None, {INPUT: pictures})[0] - expected).max())
        if not difference <= TOLERANCE:
            raise TrainingCrashed(f"{file}: a probability differs from the network's by {difference:.2g}")


def _preprocessing(network: nn.Module, classes: Sequence[str], side: int) -> dict[str, object]:
    norm = networks.normalisation(network)
    return {
        "resize": "stretch",
        "side": side,
        "interpolation": "bilinear",
        "colour_order": "RGB",
        "layout": "NCHW",
        "scale": 1 / 255,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "in_model": {"mean": list(norm.mean), "std": list(norm.std), "softmax": True},
        "classes": list(classes),
        "output": "(batch, classes): probabilities",
    }


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Hide the exporter's progress and its warnings about its own code."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
