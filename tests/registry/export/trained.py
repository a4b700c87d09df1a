"""A small trained classifier and a small detector as versions in a store, with demo data of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.data import open_dataset
from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.files.digests import sha256_of
from mlops.prediction.mlflow_model import model_folder
from mlops.systems import load_system

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops.prediction.mlflow_model import ServingModel

CELLS, LINES, FRAMES = "blood-cell-classifier", "railway-detector", "joint-detector"
_SIDE = 32


@dataclass(frozen=True)
class Template:
    """What a training left, to be registered as often as tests want."""

    model: str
    data: Path
    digest: str
    classes: tuple[str, ...]
    architecture: str
    weights: Path
    folder: Path
    serving: ServingModel


def classifier(folder: Path, data: Path) -> Template:
    """`test_resnet` at 32 px, learnt for a second."""
    import torch

    from mlops.prediction.onnx_model import Preprocessing
    from mlops.training.classification import timm_network as networks
    from mlops.training.classification.classifier_export import export
    from tests.training.classification_case import tiny_recipe

    spec = load_system(CELLS)
    dataset = open_dataset([str(data)], "classification", cache=folder / "cache", classes=spec.classes)
    assert isinstance(dataset, ClassificationDataset)
    recipe = tiny_recipe(image_size=_SIDE)
    torch.manual_seed(0)
    network = networks.build(recipe, len(dataset.classes), seed=0).train()
    stated = {"resize": "stretch", "side": _SIDE, "interpolation": "bilinear", "colour_order": "RGB"}
    stated |= {"layout": "NCHW", "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1], "classes": ()}
    train = dataset.splits["train"]
    pictures = np.stack([Preprocessing.of(stated).prepare(each).values for each in train.images])
    norm = networks.normalisation(network)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (norm.mean, norm.std))
    inputs, labels = (torch.from_numpy(pictures) - mean) / std, torch.from_numpy(np.asarray(train.labels))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(120):  # until it is sure of its answers, as a trained network is
        chosen = torch.randint(len(labels), (48,))
        loss = torch.nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    weights = folder / "best.safetensors"
    networks.save(network.eval(), weights)
    return _kept(
        CELLS, data, dataset, recipe.model, weights, export(recipe, dataset.classes, weights, folder)
    )


def detector(folder: Path, data: Path) -> Template:
    """`yolo11n` at 64 px, untrained, its scores raised so that it gives boxes."""
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from mlops.training.detection.detector_export import export
    from tests.training.detection_case import tiny_recipe

    spec = load_system(LINES)
    dataset = open_dataset([str(data)], "detection", cache=folder / "cache", classes=spec.classes)
    assert isinstance(dataset, DetectionDataset)
    torch.manual_seed(0)
    network: Any = DetectionModel("yolo11n.yaml", nc=len(dataset.classes), verbose=False).eval()
    network.names = dict(enumerate(dataset.classes))
    with torch.no_grad():
        for branch in network.model[-1].cv3:
            branch[-1].weight *= 40
            branch[-1].bias.fill_(-1.0)
    weights = folder / "best.pt"
    torch.save({"model": network, "ema": None, "train_args": {}}, weights)
    serving = export(tiny_recipe(), dataset.classes, weights, folder)
    return _kept(LINES, data, dataset, "yolo11n", weights, serving)


def joint(folder: Path, data: Path, tasks: tuple[str, ...]) -> Template:
    """`yolov5n` with a class head at 64 px, untrained, its boxes' scores raised; `tasks`: what it answers."""
    import torch

    from mlops.training.detection.ultralytics_library import settle
    from mlops.training.joint.joint_recipe import as_detection
    from tests.training.joint.case import tiny_recipe

    settle(folder / "cache")
    from mlops.training.joint.joint_network import HeadShape, JointModel
    from mlops.training.joint.joint_trainer import export

    spec = load_system(FRAMES)
    dataset = open_dataset([str(data)], "joint", cache=folder / "cache", classes=spec.classes)
    assert isinstance(dataset, DetectionDataset)
    torch.manual_seed(0)
    shape = HeadShape(len(dataset.image_classes), 16, 0.0)
    network: Any = JointModel("yolov5n.yaml", head=shape, nc=len(dataset.classes)).eval()
    network.tasks, network.names = tasks, dict(enumerate(dataset.classes))
    with torch.no_grad():
        network.image_head.linear.weight *= 40
        for branch in network.model[-1].cv3:
            branch[-1].weight *= 40
            branch[-1].bias.fill_(-1.0)
    weights = folder / "best.pt"
    torch.save({"model": network, "ema": None, "train_args": {}}, weights)
    serving = export(as_detection(tiny_recipe()), dataset, weights, folder, tasks)
    return _kept(FRAMES, data, dataset, "yolov5n", weights, serving)


def _kept(
    model: str, data: Path, dataset: Any, architecture: str, weights: Path, serving: ServingModel
) -> Template:
    folder = model_folder(serving, weights.parent / "mlflow")
    return Template(
        model, data, dataset.identity.digest, dataset.classes, architecture, weights, folder, serving
    )


def register(
    client: MlflowClient, home: Path, template: Template, tags: Mapping[str, str] | None = None
) -> str:
    """Log a run and a version with files of its own below `home`; `model/number`.

    tags: in place of those that training gives.
    """
    from mlflow.entities import Dataset, DatasetInput
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(template.model)
    experiment_id = (
        experiment.experiment_id
        if experiment
        else client.create_experiment(template.model, (home / "artifacts").as_uri())
    )
    run = client.create_run(experiment_id, tags={"mlflow.user": "ann"}).info.run_id
    client.log_param(run, "model", template.architecture)
    client.log_param(run, "seed", 0)
    source = json.dumps({"uri": str(template.data)})
    dataset = Dataset("demo", template.digest[:36], "local", source)
    client.log_inputs(run, datasets=[DatasetInput(dataset)])
    client.log_artifact(run, str(template.weights), "weights")
    folder = home / f"model-{run}"
    shutil.copytree(template.folder, folder)
    try:
        client.create_registered_model(template.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    said = {
        "mlops.system": template.model,
        "mlops.dataset_digest": template.digest,
        "mlops.demo": "true",
        "mlops.licence": "AGPL-3.0-or-later",
        "mlops.class_map": json.dumps(dict(enumerate(template.classes))),
        "mlops.preprocessing": json.dumps(template.serving.preprocessing),
        "mlops.weights_digest": sha256_of(template.weights),
        "mlops.onnx_digest": sha256_of(folder / "model.onnx"),
        "mlops.code_commit": "0" * 40,
        **(tags or {}),
    }
    made = client.create_model_version(template.model, folder.as_uri(), run_id=run, tags=said)
    return f"{template.model}/{made.version}"
