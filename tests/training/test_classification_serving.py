"""Held-out figures come from what was kept of every picture; the ONNX file gives what the network gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from mlops.data.dataset import ClassificationDataset
from mlops.errors import DataFault
from mlops.prediction.mlflow_model import ServingModel
from mlops.systems.recipe import ClassificationRecipe
from mlops.training.classification import ClassificationTrainer
from mlops.training.protocol import TrainConfig
from tests.training.classification_case import (
    CLASSES,
    Reports,
    as_files,
    draw_nothing,
    tiny_config,
    tiny_dataset,
)

SIDE = 48  # of the pictures; the network's is 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def config(folder: Path) -> TrainConfig[ClassificationRecipe]:
    return tiny_config(folder, as_files(tiny_dataset(side=SIDE), folder / "data"), model="test_efficientnet")


@pytest.fixture(scope="module")
def weights(config: TrainConfig[ClassificationRecipe]) -> Path:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        return ClassificationTrainer().fit(config, Reports()).best_weights


@pytest.fixture(scope="module")
def served(config: TrainConfig[ClassificationRecipe], weights: Path) -> ServingModel:
    return ClassificationTrainer().serving_model(config, weights)


def test_held_out_figures_are_scikit_learns_of_the_table(
    config: TrainConfig[ClassificationRecipe], weights: Path
) -> None:
    tested = ClassificationTrainer().test(config, weights, "test")
    assert tested.per_sample is not None
    table = pd.read_parquet(tested.per_sample)
    given = table[[f"p/{name}" for name in CLASSES]].to_numpy()
    truth = table["label"].map(list(CLASSES).index).to_numpy()
    assert given.sum(1) == pytest.approx(np.ones(len(table)), abs=1e-5)
    assert [CLASSES[i] for i in given.argmax(1)] == table["predicted"].tolist()
    assert table["image"].tolist() == [f"{i:03d}.png" for i in range(len(table))]
    expected = {
        "accuracy": accuracy_score(truth, given.argmax(1)),
        "macro_f1": f1_score(truth, given.argmax(1), average="macro"),
        "macro_auc": roc_auc_score(truth, given / given.sum(1, keepdims=True), multi_class="ovr"),
        "loss": log_loss(truth, given / given.sum(1, keepdims=True)),
        **dict(
            zip((f"F1/{c}" for c in CLASSES), f1_score(truth, given.argmax(1), average=None), strict=True)
        ),
    }
    for name, value in expected.items():
        assert tested.metrics[f"test/{name}"] == pytest.approx(value, abs=1e-6)
    assert set(tested.artifacts.values()) == {"test"}
    assert "confusion_matrix.png" in {path.name for path in tested.artifacts}
    assert all(path.stat().st_size for path in tested.artifacts)


def test_a_split_without_pictures_cannot_be_measured(
    config: TrainConfig[ClassificationRecipe], weights: Path
) -> None:
    dataset = config.dataset
    assert isinstance(dataset, ClassificationDataset)
    lacking = replace(dataset, splits={name: dataset.splits[name] for name in ("train", "val")})
    with pytest.raises(DataFault, match="no images in its test split"):
        ClassificationTrainer().test(replace(config, dataset=lacking), weights, "test")


def test_measuring_leaves_random_numbers_alone(
    config: TrainConfig[ClassificationRecipe], weights: Path
) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    ClassificationTrainer().test(config, weights, "val")
    assert torch.equal(torch.rand(3), expected)


def prepared(picture: Image.Image, how: dict[str, object]) -> NDArray[np.float32]:
    """What `preprocessing` says must be done to a picture, and nothing else."""
    assert (how["resize"], how["interpolation"]) == ("stretch", "bilinear")
    assert (how["colour_order"], how["layout"]) == ("RGB", "NCHW")
    side = how["side"]
    assert isinstance(side, int)
    pixels = np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))
    scaled = pixels * np.array(how["scale"], np.float32)
    mean, std = (np.array(how[name], np.float32) for name in ("mean", "std"))
    out: NDArray[np.float32] = ((scaled - mean) / std).transpose(2, 0, 1)[None]
    return out


def run(served: ServingModel, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(served.onnx), providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == [served.input_name]
    assert [given.name for given in session.get_outputs()] == list(served.outputs)
    out: NDArray[np.float32] = session.run(None, {served.input_name: inputs})[0]
    return out


def test_the_file_stands_alone_and_its_batch_is_free(served: ServingModel) -> None:
    onnx.checker.check_model(str(served.onnx), full_check=True)
    assert [path.name for path in served.onnx.parent.iterdir()] == ["model.onnx"]
    assert served.input_shape == (-1, 3, 32, 32)
    assert served.outputs == {"probabilities": (-1, 3)}
    assert served.preprocessing["classes"] == list(CLASSES)
    pictures = np.random.default_rng(0).random((7, 3, 32, 32), np.float32)
    together = run(served, pictures)
    assert together.shape == (7, 3)
    one_by_one = np.concatenate([run(served, pictures[i : i + 1]) for i in range(7)])
    assert together == pytest.approx(one_by_one, abs=1e-5)
    assert together.sum(1) == pytest.approx(np.ones(7), abs=1e-5)


def test_following_the_preprocessing_alone_gives_what_was_measured(
    config: TrainConfig[ClassificationRecipe],
    weights: Path,
    served: ServingModel,
) -> None:
    tested = ClassificationTrainer().test(config, weights, "test")
    assert tested.per_sample is not None
    table = pd.read_parquet(tested.per_sample)
    dataset = config.dataset
    assert isinstance(dataset, ClassificationDataset)
    inputs = np.concatenate(
        [
            prepared(Image.open(Path(str(f))), dict(served.preprocessing))
            for f in dataset.splits["test"].images
        ]
    )
    expected = table[[f"p/{name}" for name in CLASSES]].to_numpy()
    assert np.ptp(expected, axis=0).max() > 0.1  # pictures are told apart
    assert run(served, inputs) == pytest.approx(expected, abs=1e-4)


def test_a_large_jpeg_is_seen_alike_in_training_and_serving(
    tmp_path: Path,
    config: TrainConfig[ClassificationRecipe],
    weights: Path,
    served: ServingModel,
) -> None:
    small = tiny_dataset().splits["test"]
    files = [tmp_path / f"{i}.jpg" for i in range(len(small))]
    for file, picture in zip(files, small.images, strict=True):
        Image.fromarray(np.asarray(picture)).resize((360, 300)).save(file, quality=90)
    dataset = config.dataset
    assert isinstance(dataset, ClassificationDataset)
    large = replace(
        dataset,
        identity=replace(dataset.identity, digest="large"),
        splits={**dataset.splits, "test": replace(small, images=files)},
    )
    tested = ClassificationTrainer().test(replace(config, dataset=large), weights, "test")
    assert tested.per_sample is not None
    expected = pd.read_parquet(tested.per_sample)[[f"p/{name}" for name in CLASSES]].to_numpy()
    inputs = np.concatenate([prepared(Image.open(file), dict(served.preprocessing)) for file in files])
    assert run(served, inputs) == pytest.approx(expected, abs=1e-4)
