"""A version's ONNX file answers as its training's test table says, for whoever asks it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.ops import nms

from mlops.metrics.samples.boxes import iou_matrix
from mlops.prediction.onnx_model import PredictedBoxes, Predictor, keep_surest, open_onnx
from mlops.training.classification import ClassificationTrainer
from mlops.training.detection import DetectionTrainer
from tests.training import classification_case, detection_case


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, pd.DataFrame, Path]:
    """The predictor of a trained version, the table of its test, and where the pictures lie."""
    folder = tmp_path_factory.mktemp("cells")
    data = classification_case.as_files(classification_case.tiny_dataset(side=48), folder / "data")
    config = classification_case.tiny_config(folder, data, model="test_efficientnet")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        classification_case.draw_nothing(patch)
        trainer = ClassificationTrainer()
        weights = trainer.fit(config, classification_case.Reports()).best_weights
        tested, served = trainer.test(config, weights, "test"), trainer.serving_model(config, weights)
    assert tested.per_sample is not None
    table = pd.read_parquet(tested.per_sample)
    held = data.splits["test"].images
    assert isinstance(held[0], Path)
    return open_onnx(served.onnx, served.preprocessing, threads=1), table, _top(held[0], table.image[0])


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, pd.DataFrame, Path]:
    folder = tmp_path_factory.mktemp("shapes")
    data = detection_case.tiny_dataset(folder / "data")
    config = detection_case.tiny_config(folder, data)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        detection_case.draw_nothing(patch)
        trainer = DetectionTrainer()
        weights = trainer.fit(config, detection_case.Reports()).best_weights
        tested, served = trainer.test(config, weights, "test"), trainer.serving_model(config, weights)
    assert tested.per_sample is not None
    table = pd.read_parquet(tested.per_sample)
    return (
        open_onnx(served.onnx, served.preprocessing, threads=1),
        table,
        _top(data.splits["test"][0].image, table.image[0]),
    )


def _top(file: Path, named: str) -> Path:
    """The folder that the table's names are below."""
    return Path(*file.parts[: len(file.parts) - len(Path(named).parts)])


def test_a_classifiers_probabilities_are_those_of_its_test(
    classifier: tuple[Predictor, pd.DataFrame, Path],
) -> None:
    predictor, table, top = classifier
    given = predictor.probabilities(top / name for name in table.image)
    np.testing.assert_allclose(given, table[[f"p/{name}" for name in predictor.classes]], atol=1e-4)


def test_a_path_its_bytes_and_its_pixels_are_answered_alike(
    classifier: tuple[Predictor, pd.DataFrame, Path],
) -> None:
    predictor, table, top = classifier
    file = top / table.image[0]
    pixels = np.asarray(Image.open(file).convert("RGB"))
    path, held, array = predictor.probabilities([file, file.read_bytes(), pixels])
    np.testing.assert_array_equal(path, held)
    np.testing.assert_array_equal(path, array)


def test_16_bits_of_grey_are_answered_as_the_8_that_count(
    classifier: tuple[Predictor, pd.DataFrame, Path], tmp_path: Path
) -> None:
    predictor, table, top = classifier
    grey = np.asarray(Image.open(top / table.image[0]).convert("L"))
    for name, pixels in (("8", grey), ("16", grey.astype(np.uint16) * 256 + 255)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    narrow, wide = predictor.probabilities([tmp_path / "8.png", tmp_path / "16.png"])
    np.testing.assert_array_equal(narrow, wide)


def test_a_detectors_boxes_are_those_of_its_test(detector: tuple[Predictor, pd.DataFrame, Path]) -> None:
    predictor, table, top = detector
    names = list(table.image.unique())
    answers = predictor.boxes([top / name for name in names], score=0.001, several_classes=True)
    for name, found in zip(names, answers, strict=True):
        of_test = table[(table.image == name) & (table.kind == "prediction")]
        surest = of_test.nlargest(20, "score")
        assert len(surest) >= 5
        for row in surest.itertuples():
            corners = np.array([[row.x1, row.y1, row.x2, row.y2]])
            same = (found.class_index == row.class_index) & (np.abs(found.score - row.score) < 1e-4)
            assert iou_matrix(corners, found.corners[same].astype(float)).max(initial=0) > 0.99


def test_a_wide_picture_gets_its_boxes_back_in_its_own_pixels(
    detector: tuple[Predictor, pd.DataFrame, Path],
) -> None:
    predictor, table, top = detector
    square = np.asarray(Image.open(top / table.image[0]).convert("RGB"))
    side = len(square)
    grey = np.full((side, side // 2, 3), 114, np.uint8)
    half = np.asarray(Image.fromarray(square).resize((side // 2, side), Image.Resampling.BOX))
    wide = np.concatenate([grey[:, : side // 4], half, grey[:, : side // 4]], axis=1)
    alone = next(predictor.boxes([half], score=0.001))
    padded = next(predictor.boxes([wide], score=0.001))
    assert len(alone) and np.abs(alone.score[0] - padded.score[0]) < 1e-5
    shifted = np.clip(padded.corners[0] - [side // 4, 0, side // 4, 0], 0, [side // 2, side] * 2)
    np.testing.assert_allclose(shifted, alone.corners[0], atol=1e-3)


def test_suppression_keeps_what_torchvision_keeps() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 80, (1500, 2)).astype(np.float32)
    corners = np.concatenate([low, low + rng.uniform(5, 60, (1500, 2)).astype(np.float32)], axis=1)
    score, classes = rng.random(1500).astype(np.float32), rng.integers(0, 3, 1500)
    apart = torch.from_numpy(corners + 1000 * classes[:, None].astype(np.float32))
    expected: NDArray[np.int64] = nms(apart, torch.from_numpy(score), 0.5).numpy()
    assert len(expected) > 100
    np.testing.assert_array_equal(keep_surest(corners, score, classes, 0.5, 5000), expected)
    np.testing.assert_array_equal(keep_surest(corners, score, classes, 0.5, 40), expected[:40])


def test_the_file_may_say_itself_what_is_done_to_a_picture(
    classifier: tuple[Predictor, pd.DataFrame, Path], tmp_path: Path
) -> None:
    predictor, table, top = classifier
    held = onnx.load(predictor.session._model_path)
    file = tmp_path / "model.onnx"
    onnx.save(held, file)
    with pytest.raises(ValueError, match="has no preprocessing in its metadata"):
        open_onnx(file)
    stated = {"resize": "stretch", "side": 32, "interpolation": "bilinear", "colour_order": "RGB"}
    stated |= {"layout": "NCHW", "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]}
    stated |= {"classes": list(predictor.classes)}
    entry = held.metadata_props.add()
    entry.key, entry.value = "preprocessing", json.dumps(stated)
    onnx.save(held, file)
    given = open_onnx(file, threads=1).probabilities([top / table.image[0]])
    np.testing.assert_array_equal(given, predictor.probabilities([top / table.image[0]]))


def test_what_is_no_picture_is_refused(
    classifier: tuple[Predictor, pd.DataFrame, Path], detector: tuple[Predictor, pd.DataFrame, Path]
) -> None:
    with pytest.raises(ValueError, match="is not a readable image"):
        classifier[0].probabilities([b"no picture"])
    with pytest.raises(ValueError, match="is not a readable image"):
        next(detector[0].boxes([b"no picture"]))
    with pytest.raises(ValueError, match="does not output boxes"):
        next(classifier[0].boxes([b""]))


def test_no_boxes_is_an_answer(detector: tuple[Predictor, pd.DataFrame, Path]) -> None:
    predictor, table, top = detector
    found: PredictedBoxes = next(predictor.boxes([top / table.image[0]], score=0.9999))
    assert len(found) == 0 and found.corners.shape == (0, 4)
