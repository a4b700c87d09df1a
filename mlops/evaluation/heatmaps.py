"""Heat maps of a classifier: Grad-CAM (Selvaraju et al. 2017) with the library `grad-cam`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.errors import MissingPackage, require
from mlops.evaluation.tracked import names_in
from mlops.store.client import asking

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from mlops.evaluation.context_values import EvaluationContext

WEIGHTS = "weights/best.safetensors"
_LEAST_PLACES = 4


@dataclass(frozen=True, slots=True)
class Maps:
    """One map (H, W) in 0..1 per image; or the reason why there are none."""

    maps: tuple[NDArray[np.float32], ...] = ()
    missing: str = ""


def heat_maps(scene: EvaluationContext, pictures: Sequence[Image], predicted: Sequence[int]) -> Maps:
    """The heat map of each image for its predicted class.

    An ONNX file has no gradients, so the run's weights (safetensors, no pickle) are loaded into the network
    named in its params. predicted: class indices.
    """
    if not pictures:
        return Maps()
    try:
        require("Grad-CAM", "pytorch_grad_cam", "torch", "timm")
    except MissingPackage as error:
        return Maps(missing=f"no Grad-CAM: {error}")
    if WEIGHTS not in names_in(scene.client, scene.subject.run_id, "weights"):
        return Maps(missing=f"no Grad-CAM: the run has no {WEIGHTS}")
    with asking(f"fetching {WEIGHTS} of run {scene.subject.run_id}"):
        folder = scene.source.scratch / "weights"
        folder.mkdir(exist_ok=True)
        file = Path(scene.client.download_artifacts(scene.subject.run_id, WEIGHTS, str(folder)))
    network = _network(
        scene.run.data.params.get("model", ""), len(scene.source.predictor.image_classes), file
    )
    if network is None:
        return Maps(missing="no Grad-CAM: the run's weights do not match the network in its params")
    values = np.stack([scene.source.predictor.preprocessing.prepare(np.asarray(p)).values for p in pictures])
    layer = _last_convolution(network, values.shape[-1])
    if layer is None:
        return Maps(missing="no Grad-CAM: the network has no suitable convolution")
    return Maps(tuple(_mapped(network, layer, values, predicted)))


def _network(model: str, classes: int, weights: Path) -> Any:
    """None if model and weights do not match."""
    import timm
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not timm.is_model(model):
        return None
    network = timm.create_model(model, pretrained=False, num_classes=classes)
    try:
        network.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError):
        return None
    return network.eval()


def _last_convolution(network: Any, side: int) -> Any:
    """The last convolution with an output of at least 4 x 4, as smaller maps do not show a position.

    None for a network of patches, whose only convolution creates them.
    """
    import torch
    from torch import nn

    if hasattr(network, "patch_embed"):
        return None
    found: list[Any] = []

    def note(module: Any, _: Any, answer: Any) -> None:
        if answer.ndim == 4 and min(answer.shape[2:]) >= _LEAST_PLACES:
            found.append(module)

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return found[-1] if found else None


def _mapped(
    network: Any, layer: Any, values: NDArray[np.float32], predicted: Sequence[int]
) -> list[NDArray[np.float32]]:
    """values (N, 3, side, side) in 0..1, the input of the ONNX file."""
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    inputs = (torch.from_numpy(values) - mean) / std
    maps = []
    with GradCAM(model=network, target_layers=[layer]) as cam:
        for one, index in zip(inputs, predicted, strict=True):
            made = cam(input_tensor=one[None], targets=[ClassifierOutputTarget(int(index))])
            maps.append(np.asarray(made[0], np.float32))
    return maps
