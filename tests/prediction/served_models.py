"""Two tiny versions as MLflow models: a classifier of the brightest colour, a detector of one fixed box."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mlops.prediction.mlflow_model import ServingModel, model_folder
from tests.registry.onnx_model import write_onnx

COLOURS = ("red", "green", "blue")
STATED = {
    "interpolation": "bilinear",
    "colour_order": "RGB",
    "layout": "NCHW",
    "scale": 1 / 255,
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}


def classifier(folder: Path) -> ServingModel:
    """Gives the mean of each colour, which serves as its probability."""
    stated = {**STATED, "resize": "stretch", "side": 8, "classes": list(COLOURS)}
    file = write_onnx(folder / "colours.onnx")
    return ServingModel(file, "images", (-1, 3, 8, 8), {"colours": (-1, 3)}, stated)


def detector(folder: Path) -> ServingModel:
    """Finds a bar of 16 x 8 in the middle of whatever it is shown, of score 0.9, and a fainter one."""
    nms = {"in_model": False, "head": "one-to-many", "score": 0.5, "iou": 0.7, "most": 300}
    stated = {**STATED, "resize": "letterbox", "side": 32, "pad_value": 114, "nms": nms}
    file = _fixed_boxes(folder / "boxes.onnx")
    return ServingModel(
        file,
        "images",
        (-1, 3, 32, 32),
        {"output0": (-1, 6, 2)},
        {**stated, "classes": ["square", "bar"]},
    )


def _fixed_boxes(file: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rows = np.array([[16, 8], [16, 8], [16, 4], [8, 4], [0, 0.3], [0.9, 0]], np.float32)[None]
    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 32, 32])
    leave = helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", 6, 2])
    held = [
        numpy_helper.from_array(rows, "rows"),
        numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
        numpy_helper.from_array(np.array([-1, 1, 1]), "shape"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "shape"], ["column"]),
        helper.make_node("Add", ["rows", "column"], ["output0"]),
    ]
    graph = helper.make_graph(nodes, "boxes", [entry], [leave], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return file


def saved(serving: ServingModel, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return model_folder(serving, folder)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> bytes:
    """A picture of one colour, as the bytes of a file."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()
