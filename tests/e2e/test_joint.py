"""`mlops train joint-detector`: both tasks in the curves, the tables and the version."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from mlops.metrics.samples.sample_tables import read_answers, read_boxes
from tests.command import Shell

SETTINGS = (
    "model=yolov5n",
    "weights=none",
    "image_size=64",
    "batch=8",
    "nbs=8",
    "epochs=2",
    "workers=0",
    "amp=false",
    "warmup_epochs=0",
    "head_width=32",
)
CLASSES = ["calcified", "normal", "suspicious"]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlops.data import demo_dataset

    return demo_dataset("joint-detector", tmp_path_factory.mktemp("demo") / "frames", size="tiny")


def given(*more: str) -> list[str]:
    return [part for setting in (*SETTINGS, *more) for part in ("--set", setting)]


@pytest.mark.slow
def test_a_training_leaves_both_tasks_curves_tables_and_a_version(shell: Shell, frames: Path) -> None:
    told = shell.succeed("train", "joint-detector", "--data", str(frames), *given(), "--json", timeout_s=900)
    outcome = json.loads(told)
    assert {"test/mAP50", "test/F1", "test/accuracy", "test/macro_f1"} <= outcome["test"].keys()

    client, run_id = MlflowClient(shell.store), outcome["best_run_id"]
    for figure in ("weight", "share", "grad_norm", "inverse_rate"):
        for task in ("detection", "classification"):
            history = client.get_metric_history(run_id, f"balance/{figure}/{task}")
            assert [point.step for point in history] == [1, 2], f"balance/{figure}/{task}"
    for name in ("train/detection_loss", "val/mAP50", "val/macro_f1", "val/F1"):
        assert len(client.get_metric_history(run_id, name)) == 2

    folder = Path(client.download_artifacts(run_id, "test", str(shell.folder)))
    _, of_boxes = read_boxes(folder / "boxes.parquet")
    answers, of_answers = read_answers(folder / "predictions.parquet")
    assert of_boxes is not None and of_answers is not None
    assert of_boxes.digest == of_answers.digest and of_boxes.pictures == of_answers.pictures
    assert list(answers.classes) == CLASSES and len(answers.truth) == 8

    version = client.get_model_version("joint-detector", str(outcome["version"]))
    assert json.loads(version.tags["mlops.class_map"]) == {"0": "suspicious"}
    assert list(json.loads(version.tags["mlops.image_class_map"]).values()) == CLASSES
    mlflow.set_tracking_uri(shell.store)
    served = mlflow.onnx.load_model(f"models:/joint-detector/{outcome['version']}")
    outputs = {output.name: len(output.type.tensor_type.shape.dim) for output in served.graph.output}
    assert outputs == {"output0": 3, "class_probabilities": 2}

    shown = shell.succeed("systems", "joint-detector")
    assert "variant=two-backbones" in shown and "gradnorm_alpha" in shown
    refused = shell.run("registry", "promote", "joint-detector", "1", "--to", "staging", "--why", "try")
    assert refused.returncode == 3 and "test/macro_f1" in refused.stdout + refused.stderr


def test_a_picture_without_a_class_is_named_before_anything_is_trained(shell: Shell, frames: Path) -> None:
    import shutil

    own = shell.folder / "frames"
    shutil.copytree(frames, own)
    lines = (own / "labels.csv").read_text().splitlines()
    (own / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    refused = shell.run("train", "joint-detector", "--data", str(own), *given())
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "has no label for this image" in refused.stderr and lines[-1].split(",")[0] in refused.stderr


def test_the_classes_may_come_from_the_boxes(frames: Path, tmp_path: Path) -> None:
    from mlops.data import open_dataset
    from mlops.data.dataset import DetectionDataset

    dataset = open_dataset([str(frames)], "joint", cache=tmp_path, image_label="present:suspicious")
    assert isinstance(dataset, DetectionDataset)
    classes = np.array([each.image_class for each in dataset.splits["train"]])
    assert dataset.image_classes == ("no suspicious", "suspicious") and set(classes) == {0, 1}
