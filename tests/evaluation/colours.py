"""Versions whose ONNX files go by colour alone, so that what they answer is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from mlops.data import open_dataset
from mlops.files.digests import sha256_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

CELLS = ("amber", "basil", "cobalt")  # red, green and blue
RAILS = ("nest", "kite")
IMAGE_LABEL = "present:kite"
SIDE = 32
# what a test picture of each class looks like, in turn: the last of each class is of another one's colour
SHOWN = {"amber": (0, 0, 0, 1), "basil": (1, 1, 1, 1), "cobalt": (2, 2, 2, 0)}
# quarter -> (class by colour, annotated as); -1: not annotated, None: nothing there
QUARTERS: Sequence[Sequence[tuple[int, int] | None]] = (
    ((0, 0), None, (1, 1), None),
    (None, (1, 1), None, None),
    (None, (0, 1), (0, -1), None),
    (None, None, None, None),
)


@dataclass(frozen=True)
class Known:
    """A version as it was registered: its run, its data, the folder of its files."""

    model: str
    version: str
    run_id: str
    data: Path
    files: Path

    @property
    def name(self) -> str:
        return f"{self.model}/{self.version}"


def classifier(client: MlflowClient, folder: Path, model: str = "cells", gain: float = 8.0) -> Known:
    """gain: how sure it is of a colour."""
    data = folder / "cells"
    if not data.exists():
        write_cells(data)
    stated = _stated(CELLS, "stretch")
    return _registered(client, folder, model, data, "classification", _colour_classifier(gain), stated)


def detector(client: MlflowClient, folder: Path, model: str = "rails", system: str = "rail") -> Known:
    data = folder / "rails"
    if not data.exists():
        write_rails(data)
    stated = {
        **_stated(RAILS, "letterbox"),
        "nms": {"in_model": False, "score": 0.25, "iou": 0.7, "most": 300},
    }
    return _registered(
        client, folder, model, data / "data.yaml", "detection", _quarter_detector(), stated, system
    )


def joint(client: MlflowClient, folder: Path, model: str = "both") -> Known:
    """The boxes of `detector`, and whether a kite is there by how blue the picture is."""
    data = folder / "rails"
    write_rails(data)
    stated = {**_stated(RAILS, "letterbox"), "image_classes": ["no kite", "kite"]}
    stated["nms"] = {"in_model": False, "score": 0.25, "iou": 0.7, "most": 300}
    made = _with_classes(_quarter_detector())
    known = _registered(client, folder, model, data / "data.yaml", "joint", made, stated, "joint-detector")
    client.log_param(known.run_id, "image_label", IMAGE_LABEL)
    return known


def write_cells(data: Path, splits: Sequence[str] = ("train", "val", "test"), seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for split in splits:
        for name in CELLS:
            folder = data / split / name
            folder.mkdir(parents=True)
            for number, colour in enumerate(SHOWN[name]):
                picture = rng.integers(0, 60, (20, 20, 3), dtype=np.uint8)
                picture[..., colour] += 120 + 10 * number
                Image.fromarray(picture).save(folder / f"{number}.png")


def write_rails(data: Path, splits: Sequence[str] = ("train", "val", "test"), seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for split in splits:
        images, labels = data / "images" / split, data / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, quarters in enumerate(QUARTERS):
            picture = rng.integers(0, 20, (SIDE, SIDE, 3), dtype=np.uint8)
            rows = []
            for at, shown in enumerate(quarters):
                if shown is None:
                    continue
                left, top = 16 * (at % 2) + 2, 16 * (at // 2) + 2
                colour, annotated = shown
                picture[top : top + 12, left : left + 12, 2 * colour] = 200 + 10 * number + at
                if annotated >= 0:
                    rows.append(
                        f"{annotated} {(left + 6) / SIDE} {(top + 6) / SIDE} {12 / SIDE} {12 / SIDE}\n"
                    )
            Image.fromarray(picture).save(images / f"{number}.png")
            (labels / f"{number}.txt").write_text("".join(rows), encoding="utf-8")
    names = {"path": str(data), **{split: f"images/{split}" for split in splits}, "names": list(RAILS)}
    (data / "data.yaml").write_text(yaml.safe_dump(names), encoding="utf-8")


def _stated(classes: Sequence[str], resize: str) -> dict[str, Any]:
    return {
        "resize": resize,
        "side": SIDE,
        "interpolation": "bilinear",
        "colour_order": "RGB",
        "layout": "NCHW",
        "scale": 1 / 255,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "classes": list(classes),
    }


def _colour_classifier(gain: float) -> onnx.ModelProto:
    """softmax(gain * the mean of each colour)"""
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "gain"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    held = [
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        numpy_helper.from_array(np.array(gain, np.float32), "gain"),
    ]
    return _model(nodes, held, helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3]))


def _quarter_detector() -> onnx.ModelProto:
    """One box in each quarter; its scores are how red and how blue the middle of the quarter is."""
    corners = np.array([[8, 24, 8, 24], [8, 8, 24, 24], [12] * 4, [12] * 4], np.float32)[None]
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Reshape", ["pooled", "flat"], ["quarters"]),
        helper.make_node("Gather", ["quarters", "red_and_blue"], ["scores"], axis=1),
        helper.make_node("Gather", ["quarters", "first"], ["one"], axis=1),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "corners"], ["boxes"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    held = [
        numpy_helper.from_array(np.array([0, 3, 4]), "flat"),
        numpy_helper.from_array(np.array([0, 2]), "red_and_blue"),
        numpy_helper.from_array(np.array([0]), "first"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(corners, "corners"),
    ]
    return _model(nodes, held, helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["n", 6, 4]))


def _with_classes(detector: onnx.ModelProto) -> onnx.ModelProto:
    """The same with a second output: 20 times the mean blue against a constant, through a softmax."""
    nodes = [
        *detector.graph.node,
        helper.make_node("ReduceMean", ["images", "places"], ["colour"], keepdims=0),
        helper.make_node("Mul", ["colour", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "bias"], ["three"]),
        helper.make_node("Gather", ["three", "none_and_blue"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    held = [
        *detector.graph.initializer,
        numpy_helper.from_array(np.array([2, 3]), "places"),
        numpy_helper.from_array(np.array([0, 0, 20], np.float32), "weights"),
        numpy_helper.from_array(np.array([1.5, 0, 0], np.float32), "bias"),
        numpy_helper.from_array(np.array([0, 2]), "none_and_blue"),
    ]
    second = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])
    return _model(nodes, held, *detector.graph.output, second)


def _model(nodes: list[Any], held: list[Any], *leave: Any) -> onnx.ModelProto:
    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "colours", [entry], list(leave), held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return made


def _registered(
    client: MlflowClient,
    folder: Path,
    model: str,
    data: Path,
    task: str,
    made: onnx.ModelProto,
    stated: dict[str, Any],
    system: str = "",
) -> Known:
    from mlflow.entities import Dataset, DatasetInput
    from mlflow.exceptions import MlflowException

    cache = folder / ".mlops" / "cache"
    dataset = open_dataset(
        (str(data),), task, cache=cache, classes=stated["classes"], image_label=IMAGE_LABEL
    )
    experiment = client.get_experiment_by_name(model)
    where = (folder / "artifacts" / model).as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(model, where)
    tags = {"mlops.dataset_digest": dataset.identity.digest, "mlops.system": system, "mlflow.user": "ann"}
    run_id = client.create_run(experiment_id, tags=tags).info.run_id
    source = json.dumps({"uri": str(data)})
    given = Dataset(dataset.identity.name, dataset.identity.digest[:36], "local", source)
    client.log_inputs(run_id, [DatasetInput(given, [])])
    files = folder / f"files-{run_id}"
    files.mkdir()
    onnx.save(made, str(files / "model.onnx"))
    (files / "MLmodel").write_text(
        yaml.safe_dump({"flavors": {}, "metadata": {"preprocessing": json.dumps(stated)}}), encoding="utf-8"
    )
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version_tags = {**tags, "mlops.onnx_digest": sha256_of(files / "model.onnx")}
    version = client.create_model_version(model, files.as_uri(), run_id=run_id, tags=version_tags)
    return Known(model, str(version.version), run_id, data, files)
