"""Export a joint version: both answers in one file, or the one that it was trained for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlops.prediction.onnx_model import open_onnx
from registry.export.bundle.isolated import run_script
from registry.export.proof.certificate import Status
from registry.export.proof.parity import BoxParity, ClassParity, JointParity
from tests.registry.export import trained
from tests.registry.export.conftest import Export
from tests.registry.export.trained import FRAMES, register

if TYPE_CHECKING:
    from mlflow import MlflowClient

BOTH = ("detection", "classification")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlops.data import demo_dataset

    return demo_dataset(FRAMES, tmp_path_factory.mktemp("frames") / "data", size="tiny")


@pytest.mark.parametrize(
    ("tasks", "parity", "outputs"),
    [
        (BOTH, JointParity, ["boxes", "class_probabilities"]),
        (BOTH[:1], BoxParity, ["boxes"]),
        (BOTH[1:], ClassParity, ["class_probabilities"]),
    ],
)
def test_every_answer_that_was_trained_is_compared_and_printed(
    tasks: tuple[str, ...],
    parity: type[object],
    outputs: list[str],
    frames: Path,
    tmp_path: Path,
    client: MlflowClient,
    export: Export,
    working_directory: Path,
) -> None:
    version = register(client, working_directory, trained.joint(tmp_path, frames, tasks))
    (file,) = export(version).certificate.files
    assert file.status is Status.PASSED, file.reason
    assert isinstance(file.parity, parity)
    bundle = working_directory / "bundle"
    predictor = open_onnx(bundle / "model.onnx", threads=1)
    assert [output.name for output in predictor.session.get_outputs()] == outputs
    rows = [line.split("\t") for line in run_script(bundle).splitlines()]
    boxes, classes = ([row for row in rows if len(row) == length] for length in (6, 2))
    assert (bool(boxes), bool(classes)) == ("detection" in tasks, "classification" in tasks)
    if classes:
        (expected,) = predictor.probabilities([bundle / "check.png"])
        said = {name: float(value) for name, value in classes}
        assert [said[name] for name in predictor.image_classes] == pytest.approx(
            np.asarray(expected).tolist(), abs=0.02
        )
