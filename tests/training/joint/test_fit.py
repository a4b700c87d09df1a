"""A joint training, its test and its served file, on pictures so small that it takes seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from mlops.data.dataset import BoxedImage, DetectionDataset, Identity, SplitName
from mlops.errors import DataFault, Diverged
from mlops.metrics.samples.sample_tables import read_answers, read_boxes
from mlops.prediction.mlflow_model import ServingModel
from mlops.prediction.onnx_model import ServedPictures, open_onnx
from mlops.training.detection.network_file import read_network
from mlops.training.detection.ultralytics_library import settle
from mlops.training.joint import JointTrainer
from mlops.training.protocol import TestResult, TrainConfig, TrainResult
from tests.training.detection_case import Reports, draw_nothing
from tests.training.joint.case import BOXES, PICTURES, tiny_config, tiny_dataset

LENGTH = {"epochs": 3}
BALANCE = ("weight", "share", "inverse_rate", "grad_norm")


@dataclass(frozen=True)
class Trained:
    config: TrainConfig[Any]
    reports: Reports
    result: TrainResult
    test: TestResult
    serving: ServingModel


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return tiny_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset: DetectionDataset) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    settle(folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        config, reports, trainer = tiny_config(folder, dataset, **LENGTH), Reports(), JointTrainer()
        result = trainer.fit(config, reports)
        test = trainer.test(config, result.best_weights, "test")
        return Trained(config, reports, result, test, trainer.serving_model(config, result.best_weights))


@pytest.fixture(autouse=True)
def undrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(tmp_path / "cache")
    draw_nothing(monkeypatch)


def test_every_epoch_tells_of_both_tasks_and_their_balance(trained: Trained) -> None:
    assert [report.epoch for report in trained.reports] == [1, 2, 3]
    for report in trained.reports:
        told = report.metrics
        for task in ("detection", "classification"):
            assert all(math.isfinite(told[f"balance/{figure}/{task}"]) for figure in BALANCE)
            assert told[f"balance/weight/{task}"] > 0
            assert told[f"train/{task}_loss"] > 0 and told[f"val/{task}_loss"] > 0
        weights = [told[f"balance/weight/{task}"] for task in ("detection", "classification")]
        assert sum(weights) == pytest.approx(2)
        shares = [told[f"balance/share/{task}"] for task in ("detection", "classification")]
        assert sum(shares) == pytest.approx(1)
        boxes = {"val/mAP50", "val/mAP50-95", "val/precision", "val/recall", "val/F1"}
        assert boxes | {"val/accuracy", "val/macro_f1"} <= told.keys()


def test_the_best_epoch_is_best_in_both_tasks_together(trained: Trained) -> None:
    told = [report.metrics for report in trained.reports]
    ranked = [(each["val/mAP50-95"] + each["val/macro_f1"]) / 2 for each in told]
    assert ranked[trained.result.best_epoch - 1] == pytest.approx(max(ranked), abs=1e-4)


def test_the_test_keeps_every_box_and_every_answer(trained: Trained) -> None:
    assert trained.test.per_sample is not None
    _, of_boxes = read_boxes(trained.test.per_sample)
    [file] = [each for each in trained.test.artifacts if each.name == "predictions.parquet"]
    answers, of_answers = read_answers(file)
    assert of_boxes is not None and of_answers is not None
    assert (of_boxes.classes, of_answers.classes) == (BOXES, PICTURES)
    assert of_boxes.pictures == of_answers.pictures and len(of_answers.pictures) == 8
    assert sorted(answers.image) == sorted(of_answers.pictures)
    accuracy = (answers.predicted == answers.truth).mean()
    assert accuracy == pytest.approx(trained.test.metrics["test/accuracy"])


def test_the_served_file_gives_both_answers_as_the_test_measured_them(trained: Trained) -> None:
    serving = trained.serving
    assert {name: len(shape) for name, shape in serving.outputs.items()} == {
        "output0": 3,
        "class_probabilities": 2,
    }
    assert serving.preprocessing["image_classes"] == list(PICTURES)
    dataset = trained.config.dataset
    pictures = [picture.image for picture in dataset.splits["test"]]
    predictor = open_onnx(serving.onnx, serving.preprocessing)
    given = predictor.probabilities(pictures)
    [file] = [each for each in trained.test.artifacts if each.name == "predictions.parquet"]
    answers, _ = read_answers(file)
    by_name = dict(zip(answers.image, answers.probabilities, strict=True))
    kept = np.stack([by_name[f"test/{picture.name}"] for picture in pictures])
    assert np.abs(given - kept).max() < 0.01  # final weights are kept in half precision
    assert len(list(predictor.boxes(pictures))) == 8
    [entry] = onnxruntime.InferenceSession(serving.onnx).get_inputs()
    assert entry.shape[0] == "batch"


def test_whoever_sends_a_picture_is_told_its_boxes_and_its_class(trained: Trained) -> None:
    served = ServedPictures(open_onnx(trained.serving.onnx, trained.serving.preprocessing))
    pictures = [picture.image.read_bytes() for picture in trained.config.dataset.splits["test"]]
    told = served.predict(pd.DataFrame({"image": pictures}))
    assert {"boxes", "scores", "classes", "class", "probability", "probabilities"} <= set(told.columns)
    assert set(told["class"]) <= set(PICTURES) and set(told["probabilities"][0]) == set(PICTURES)


def test_pictures_of_another_form_are_answered_as_they_are_served(tmp_path: Path, trained: Trained) -> None:
    """A wide picture is padded to a square in the test as it is by whoever calls the served file."""
    wide = tmp_path / "wide.png"
    Image.fromarray(np.full((30, 64, 3), (170, 90, 60), np.uint8)).save(wide)
    one = (BoxedImage(wide, (), source="wide", image_class=1),)
    splits: dict[SplitName, tuple[BoxedImage, ...]] = {"train": one, "val": one, "test": one}
    dataset = DetectionDataset(Identity("wide", str(tmp_path), "w"), BOXES, splits, PICTURES)
    config = tiny_config(tmp_path, dataset)
    result = JointTrainer().test(config, trained.result.best_weights, "test")
    [file] = [each for each in result.artifacts if each.name == "predictions.parquet"]
    answers, _ = read_answers(file)
    served = open_onnx(trained.serving.onnx, trained.serving.preprocessing).probabilities([wide])
    assert np.abs(served - answers.probabilities).max() < 0.01


def image_head(weights: Path) -> torch.Tensor:
    network: Any = read_network(weights).network
    parameters = network.image_head.linear.parameters()
    return torch.cat([each.flatten().float() for each in parameters])


def test_detection_alone_leaves_the_class_head_as_it_began(tmp_path: Path, dataset: DetectionDataset) -> None:
    lengths = (1, 3)
    after = [
        JointTrainer().fit(
            tiny_config(tmp_path, dataset, f"{epochs}", classify=False, epochs=epochs, weight_decay=0.0),
            Reports(),
        )
        for epochs in lengths
    ]
    first, longer = (image_head(result.last_weights) for result in after)
    assert torch.equal(first, longer)
    assert "balance/weight/classification" not in after[0].best_metrics


@pytest.mark.parametrize(("idle", "rank"), [("classify", 3), ("detect", 2)])
def test_a_head_that_was_not_trained_is_neither_measured_nor_served(
    tmp_path: Path, dataset: DetectionDataset, idle: str, rank: int
) -> None:
    boxes = {"mAP50", "precision", "F1", "AP50/square", "box_loss", "detection_loss"}
    classes = {"accuracy", "macro_f1", "F1/warm", "classification_loss"}
    there, gone = (boxes, classes) if idle == "classify" else (classes, boxes)
    trainer, reports = JointTrainer(), Reports()
    config = tiny_config(tmp_path, dataset, **{idle: False, "epochs": 1})
    result = trainer.fit(config, reports)
    test = trainer.test(config, result.best_weights, "test")
    for split, told in (("val", reports[0].metrics), ("test", test.metrics)):
        names = {name.partition("/")[2] for name in told if name.startswith(f"{split}/")}
        lost = {"box_loss", "detection_loss"} if split == "test" else set()
        assert there - lost <= names and not gone & names
    tables = {each.name for each in (test.per_sample, *test.artifacts) if each and each.suffix == ".parquet"}
    assert tables == {"boxes.parquet" if idle == "classify" else "predictions.parquet"}
    serving = trainer.serving_model(config, result.best_weights)
    assert [len(shape) for shape in serving.outputs.values()] == [rank]
    assert ("nms" in serving.preprocessing, "image_classes" in serving.preprocessing) == (
        rank == 3,
        rank == 2,
    )
    picture = dataset.splits["test"][0].image.read_bytes()
    served = ServedPictures(open_onnx(serving.onnx, serving.preprocessing))
    told_columns = set(served.predict(pd.DataFrame({"image": [picture]})).columns)
    assert told_columns == (
        {"boxes", "scores", "classes"} if rank == 3 else {"class", "probability", "probabilities"}
    )


def test_two_backbones_are_trained_by_fixed_weights(tmp_path: Path, dataset: DetectionDataset) -> None:
    recipe = {"backbones": "independent", "balance": "fixed", "classification_weight": 0.5, "epochs": 1}
    reports = Reports()
    result = JointTrainer().fit(tiny_config(tmp_path, dataset, **recipe), reports)
    assert reports[0].metrics["balance/weight/classification"] == 0.5
    assert "balance/grad_norm/detection" not in reports[0].metrics
    one = JointTrainer().fit(tiny_config(tmp_path, dataset, "shared", epochs=1), Reports())
    assert result.parameters > one.parameters * 1.3


def test_a_loss_that_is_no_number_ends_the_training(
    tmp_path: Path, dataset: DetectionDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops.training.joint.joint_loop import JointLoop

    weigh = JointLoop._weigh

    def poisoned(loop: JointLoop, losses: dict[str, torch.Tensor]) -> torch.Tensor:
        losses["classification"] *= math.nan
        return weigh(loop, losses)

    monkeypatch.setattr(JointLoop, "_weigh", poisoned)
    with pytest.raises(Diverged):
        JointTrainer().fit(tiny_config(tmp_path, dataset), Reports())


def test_pictures_without_any_box_train_the_class_and_say_so(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    """The detection's box loss is zero then; its class loss, of background, is not."""
    splits = {
        split: tuple(replace(each, boxes=()) if i % 4 else each for i, each in enumerate(pictures))
        for split, pictures in dataset.splits.items()
    }
    reports = Reports()
    JointTrainer().fit(tiny_config(tmp_path, replace(dataset, splits=splits), epochs=1), reports)
    told = reports[0].metrics
    assert all(told[f"balance/weight/{task}"] > 0 for task in ("detection", "classification"))


def test_data_read_without_the_pictures_classes_are_refused(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    config = tiny_config(tmp_path, replace(dataset, image_classes=()))
    with pytest.raises(DataFault, match="without image classes"):
        JointTrainer().fit(config, Reports())
