"""What a classifier looked at: Grad-CAM (Selvaraju et al. 2017) by the library `grad-cam`."""

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
    """One map (H, W) in 0..1 for each picture; or why there are none, in a sentence."""

    maps: tuple[NDArray[np.float32], ...] = ()
    missing: str = ""


def heat_maps(scene: EvaluationContext, pictures: Sequence[Image], predicted: Sequence[int]) -> Maps:
    """For each picture, what speaks for the class that it was taken for.

    The ONNX file gives no gradients, so the run's weights are loaded (safetensors, no pickle) into the
    network that its params name. predicted: class indices.
    """
    if not pictures:
        return Maps()
    try:
        require("Grad-CAM", "pytorch_grad_cam", "torch", "timm")
    except MissingPackage as error:
        return Maps(missing=str(error))
    if WEIGHTS not in names_in(scene.client, scene.subject.run_id, "weights"):
        return Maps(missing=f"no Grad-CAM: the run keeps no {WEIGHTS}")
    with asking(f"fetching {WEIGHTS} of run {scene.subject.run_id}"):
        folder = scene.source.scratch / "weights"
        folder.mkdir(exist_ok=True)
        file = Path(scene.client.download_artifacts(scene.subject.run_id, WEIGHTS, str(folder)))
    network = _network(
        scene.run.data.params.get("model", ""), len(scene.source.predictor.image_classes), file
    )
    if network is None:
        return Maps(missing="no Grad-CAM: the run's weights do not fit the network that its params name")
    values = np.stack([scene.source.predictor.preprocessing.prepare(np.asarray(p)).values for p in pictures])
    layer = _last_convolution(network, values.shape[-1])
    if layer is None:
        return Maps(missing="no Grad-CAM: the network has no convolution whose map could be shown")
    return Maps(tuple(_mapped(network, layer, values, predicted)))


def _network(model: str, classes: int, weights: Path) -> Any:
    """None where they do not belong together."""
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
    """The last one whose map has at least 4 x 4 places: on small pictures the very last has too few to tell
    where. None for a network that sees patches (its one convolution cuts them out).
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
    """values (N, 3, side, side) in 0..1, as the ONNX file takes them."""
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
