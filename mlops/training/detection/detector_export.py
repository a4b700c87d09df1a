"""Export a trained detector to ONNX: fixed square image size, dynamic batch size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops.errors import TrainingCrashed
from mlops.prediction.mlflow_model import ServingModel
from mlops.prediction.onnx_sessions import open_session
from mlops.systems.recipe import DetectionRecipe
from mlops.training.detection.resume import as_safetensors
from mlops.training.failures import named

INPUT, OUTPUT = "images", "output0"  # the library's names
CONFIDENCE, IOU, MOST = 0.25, 0.7, 300  # the library's defaults for prediction


def export(recipe: DetectionRecipe, classes: Sequence[str], weights: Path, folder: Path) -> ServingModel:
    """Write `folder`/model.onnx; see `exported`."""
    return exported(recipe, classes, weights, folder, (OUTPUT,))


def exported(
    recipe: DetectionRecipe,
    classes: Sequence[str],
    weights: Path,
    folder: Path,
    outputs: Sequence[str],
) -> ServingModel:
    """Write `folder`/model.onnx and check that batches of one and two give equal outputs.

    outputs: names of the network's outputs, the boxes first.

    The library's exporter makes height, width and batch dynamic together; here only the batch is dynamic, so
    that the grid of anchors remains a constant of the graph. The output is the raw head, (batch, 4 + classes,
    anchors), as evaluated. The caller applies NMS with the values in `preprocessing["nms"]`.
    """
    import onnx
    import torch
    from ultralytics.utils.export.engine import best_onnx_opset, torch2onnx

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.onnx"
    with named(folder):
        model, stride = network_served(as_safetensors(weights))
        side = _whole_strides(recipe.image_size, stride)
        example = torch.zeros(2, 3, side, side)
        with torch.no_grad(), warnings.catch_warnings():
            # the grid is built for the exported size
            warnings.filterwarnings("ignore", message="Converting a tensor to a Python boolean")
            model(example)  # builds the grid of anchors
            torch2onnx(
                model,
                example,
                file,
                opset=best_onnx_opset(onnx),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic={name: {0: "batch"} for name in (INPUT, *outputs)},
            )
        shapes = _checked(file, side)
        opset = onnx.load(str(file), load_external_data=False).opset_import[0].version
    return ServingModel(
        onnx=file,
        input_name=INPUT,
        input_shape=(-1, 3, side, side),
        outputs=shapes,
        preprocessing=_preprocessing(classes, side, stride, opset),
    )


def network_served(weights: Path) -> tuple[Any, int]:
    """The network on the CPU, fused and ready for tracing, and its largest stride.

    weights: a file that `network_file.read_network` reads; raises what that raises.
    """
    from ultralytics.nn.modules import C2f, Detect

    from mlops.training.detection.network_file import read_network

    model: Any = read_network(weights).network.eval()
    model = model.fuse(verbose=False)
    for parameter in model.parameters():
        parameter.requires_grad = False
    for module in model.modules():
        if isinstance(module, Detect):
            module.export, module.format, module.shape = True, "onnx", None
        elif isinstance(module, C2f):
            module.forward = module.forward_split
    return model.eval(), int(model.stride.max())


def _whole_strides(side: int, stride: int) -> int:
    """`side` as used in training: rounded up to a multiple of the stride (at least 32)."""
    step = max(stride, 32)
    return -(-side // step) * step


def _checked(file: Path, side: int) -> dict[str, tuple[int, ...]]:
    """Run the file on two images together and one by one. Returns the output shapes, with -1 for the
    batch.
    """
    import numpy as np

    session = open_session(file)
    names = [output.name for output in session.get_outputs()]
    pictures = np.random.default_rng(0).random((2, 3, side, side), dtype=np.float32)
    both = session.run(names, {INPUT: pictures})
    for i in range(2):
        for alone, two in zip(session.run(names, {INPUT: pictures[i : i + 1]}), both, strict=True):
            if alone.shape[1:] != two.shape[1:] or not np.allclose(alone[0], two[i], rtol=1e-3, atol=1e-2):
                raise TrainingCrashed(
                    f"{file}: an image gives other outputs in a batch of two than in a batch of one"
                )
    return {name: (-1, *answer.shape[1:]) for name, answer in zip(names, both, strict=True)}


def _preprocessing(classes: Sequence[str], side: int, stride: int, opset: int) -> dict[str, object]:
    return {
        "resize": "letterbox",  # longer side to `side`, keeping the ratio, centred
        "side": side,
        "interpolation": "bilinear",
        "pad_value": 114,
        "colour_order": "RGB",
        "layout": "NCHW",
        "scale": 1 / 255,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "stride": stride,
        "classes": list(classes),
        "opset": opset,
        "output": "(batch, 4 + classes, anchors): centre x, y, width, height in input pixels; class scores",
        "nms": {"in_model": False, "head": "one-to-many", "score": CONFIDENCE, "iou": IOU, "most": MOST},
    }
