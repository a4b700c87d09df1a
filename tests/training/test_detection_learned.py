"""A detector that has learned: held-out figures, boxes, ONNX, and what starts from its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mlops.data.dataset import DetectionDataset
from mlops.errors import DataFault
from mlops.systems.recipe import DetectionRecipe
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.ultralytics_library import settle
from mlops.training.protocol import TestResult, TrainConfig, TrainResult
from tests.training.detection_case import CLASSES, SIDE, Reports, draw_nothing, tiny_config, tiny_dataset


@dataclass(frozen=True)
class Learned:
    config: TrainConfig[DetectionRecipe]
    dataset: DetectionDataset
    reports: Reports
    result: TrainResult
    test: TestResult


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    folder = tmp_path_factory.mktemp("learned")
    dataset = tiny_dataset(folder / "data", {"train": 32, "val": 8, "test": 8})
    config = tiny_config(
        folder, dataset, epochs=20, batch=4, nbs=4, optimizer="AdamW", lr0=0.004, warmup_epochs=1, fliplr=0.5
    )
    reports = Reports()
    settle(config.shared)
    with pytest.MonkeyPatch.context() as monkeypatch:
        draw_nothing(monkeypatch)
        result = DetectionTrainer().fit(config, reports)
    return Learned(
        config, dataset, reports, result, DetectionTrainer().test(config, result.best_weights, "test")
    )


def test_it_learns_what_an_untrained_network_does_not_know(learned: Learned) -> None:
    first, best = learned.reports[0].metrics, learned.result.best_metrics
    assert first["val/mAP50"] < 0.05
    assert best["val/mAP50"] > 0.4
    assert learned.test.metrics["test/mAP50"] > 0.4


def test_a_test_gives_every_figure_and_its_plots(learned: Learned) -> None:
    assert set(learned.test.metrics) == {
        *(f"test/{name}" for name in ("precision", "recall", "mAP50", "mAP50-95")),
        *(f"test/{kind}/{name}" for kind in ("AP50", "AP50-95") for name in CLASSES),
    }
    plots = {path.name for path in learned.test.artifacts}
    assert {"confusion_matrix.png", "BoxPR_curve.png", "val_batch0_pred.jpg"} <= plots
    assert set(learned.test.artifacts.values()) == {"test"}


def test_the_best_weights_measure_on_val_as_they_did_in_training(learned: Learned) -> None:
    again = DetectionTrainer().test(learned.config, learned.result.best_weights, "val")
    assert again.metrics["val/mAP50"] == pytest.approx(learned.result.best_metrics["val/mAP50"], abs=0.05)


def test_a_split_without_pictures_is_the_users_to_mend(learned: Learned, tmp_path: Path) -> None:
    bare = tiny_dataset(tmp_path / "data", {"train": 2, "val": 2})
    with pytest.raises(DataFault, match="test split"):
        DetectionTrainer().test(tiny_config(tmp_path, bare), learned.result.best_weights, "test")


def test_every_box_is_kept_in_pixels_of_its_picture(learned: Learned) -> None:
    assert learned.test.per_sample is not None
    boxes = pd.read_parquet(learned.test.per_sample)
    truths = boxes[boxes["kind"] == "truth"]
    assert len(truths) == 16
    assert sorted(truths["image"].unique()) == [f"test/{i:03d}.png" for i in range(8)]
    square = truths[(truths["image"] == "test/000.png") & (truths["class"] == "square")].iloc[0]
    [known] = [box for box in learned.dataset.splits["test"][0].boxes if box.class_index == 0]
    assert square["x1"] == pytest.approx((known.x - known.width / 2) * SIDE, abs=0.6)
    assert square["y2"] == pytest.approx((known.y + known.height / 2) * SIDE, abs=0.6)
    found = boxes[(boxes["kind"] == "prediction") & boxes["matched"].fillna(False).astype(bool)]
    assert len(found) > 4
    assert (found["iou"] >= 0.5).all()
    assert found["score"].between(0, 1).all()


def test_the_served_model_answers_as_the_trained_one_for_any_number_of_pictures(learned: Learned) -> None:
    from ultralytics.nn.tasks import load_checkpoint

    serving = DetectionTrainer().serving_model(learned.config, learned.result.best_weights)
    assert serving.input_shape == (-1, 3, SIDE, SIDE)
    session = onnxruntime.InferenceSession(str(serving.onnx))
    pictures = np.stack(
        [np.asarray(Image.open(picture.image)) for picture in learned.dataset.splits["test"][:5]]
    )
    batch = (pictures.transpose(0, 3, 1, 2) * serving.preprocessing["scale"]).astype(np.float32)
    [answer] = session.run(list(serving.outputs), {serving.input_name: batch})
    assert answer.shape == (5, *serving.outputs["output0"][1:])
    model, _ = load_checkpoint(learned.result.best_weights.with_suffix(".pt"))
    with torch.no_grad():
        expected = model(torch.from_numpy(batch))[0].numpy()
    np.testing.assert_allclose(answer, expected, rtol=1e-2, atol=2e-2)
    assert serving.preprocessing["classes"] == list(CLASSES)
    assert serving.preprocessing["nms"] == {
        "in_model": False,
        "head": "one-to-many",
        "score": 0.25,
        "iou": 0.7,
        "most": 300,
    }


@pytest.mark.real_data
def test_a_real_picture_prepared_as_the_contract_says_is_answered_as_by_the_library(
    learned: Learned, shared_data: Path
) -> None:
    """X-ray pictures of several sizes, none of them square."""
    from ultralytics.data.augment import LetterBox
    from ultralytics.nn.tasks import load_checkpoint

    serving = DetectionTrainer().serving_model(learned.config, learned.result.best_weights)
    files = sorted((shared_data / "xray_bone_fracture" / "test" / "images").iterdir())[:40:8]
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    ours = np.stack([prepared(picture, serving.preprocessing) for picture in pictures])
    [answer] = onnxruntime.InferenceSession(str(serving.onnx)).run(None, {serving.input_name: ours})
    box = LetterBox((SIDE, SIDE), auto=False)
    theirs = torch.from_numpy(np.stack([box(image=picture) for picture in pictures])).permute(0, 3, 1, 2)
    model, _ = load_checkpoint(learned.result.best_weights.with_suffix(".pt"))
    with torch.no_grad():
        expected = model(theirs.float() / 255)[0].numpy()
    np.testing.assert_allclose(answer, expected, rtol=1e-2, atol=2e-2)


def prepared(picture: NDArray[np.uint8], says: Mapping[str, Any]) -> NDArray[np.float32]:
    """RGB (H, W, 3) to (3, side, side) by `ServingModel.preprocessing` and nothing else."""
    height, width = picture.shape[:2]
    ratio = says["side"] / max(height, width)
    size = round(width * ratio), round(height * ratio)
    canvas = np.full((says["side"], says["side"], 3), says["pad_value"], dtype=np.uint8)
    left, top = ((says["side"] - length) // 2 for length in size)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size)  # bilinear
    values = (canvas * says["scale"] - np.array(says["mean"])) / np.array(says["std"])
    return values.transpose(2, 0, 1).astype(np.float32)


def test_training_may_start_from_a_file_of_weights(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    reports = Reports()
    config = tiny_config(
        tmp_path, learned.dataset, epochs=1, lr0=1e-6, weights=str(learned.result.best_weights)
    )
    DetectionTrainer().fit(config, reports)
    assert reports[0].metrics["val/mAP50"] > 0.4


def test_patience_stops_when_nothing_gets_better(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    config = tiny_config(
        tmp_path, learned.dataset, epochs=50, patience=2, lr0=1e-9, weights=str(learned.result.best_weights)
    )
    reports = Reports()
    result = DetectionTrainer().fit(config, reports)
    scores = [report.metrics["val/mAP50-95"] for report in reports]
    assert result.epochs_done == scores.index(max(scores)) + 1 + 2 < 50  # the first of equal epochs counts


def test_two_batches_added_up_step_as_one_batch_twice_the_size(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On copies of one picture, so that batch norm sees the same in either; with trained weights, since the
    library's loss of a network that finds nothing depends on the number of pictures.
    """
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    draw_nothing(monkeypatch)
    gradients: list[torch.Tensor] = []

    def look(loop: RecipeLoop) -> None:
        gradients.append(torch.cat([p.grad.flatten() for p in loop.model.parameters() if p.grad is not None]))

    monkeypatch.setattr(RecipeLoop, "optimizer_step", look)
    splits = {**learned.dataset.splits, "train": learned.dataset.splits["train"][:1] * 16}
    weights = str(learned.result.best_weights)
    for batch, nbs in ((8, 16), (16, 16), (8, 8)):
        config = tiny_config(
            tmp_path,
            replace(learned.dataset, splits=splits),
            f"batch{batch}-{nbs}",
            epochs=1,
            batch=batch,
            nbs=nbs,
            weights=weights,
        )
        DetectionTrainer().fit(config, Reports())
    added, whole, *each = gradients
    assert len(each) == 2
    assert (added - whole).norm() < 1e-3 * whole.norm()
