"""A version as an MLflow model: no pickle in it, and pictures as bytes are all that it asks for."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mlops.prediction.onnx_model import open_onnx
from mlops.training.pickles import unsafe_in
from registry.evidence.version_files import digests, onnx_file
from tests.prediction.served_models import classifier, detector, picture, saved

BLUE, RED = picture((20, 30, 200)), picture((220, 30, 40), kind="PNG")

ASK = """
    import base64, json, sys
    sys.modules["mlops"] = None  # as where only the model's requirements are installed
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    said = {}
    pictures = [base64.b64decode(each) for each in json.loads(sys.argv[2])]
    for name, folder in json.loads(sys.argv[1]).items():
        model = mlflow.pyfunc.load_model(folder)
        said[name] = model.predict({"image": pictures}).to_dict("records")
        said[f"{name} example"] = len(model.predict(model.input_example))
        if name == "boxes":
            said["faint"] = model.predict({"image": pictures}, params={"score": 0.1}).to_dict("records")
        try:
            model.predict({"image": [pictures[0], b"\\xff\\xd8 no picture"]})
        except MlflowException as error:
            said[f"{name} error"] = [error.error_code, str(error)]
    print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("models")
    return {
        "classes": saved(classifier(top), top / "classes"),
        "boxes": saved(detector(top), top / "boxes"),
    }


@pytest.fixture(scope="module")
def said(folders: dict[str, Path]) -> dict[str, Any]:
    """What both answer in one process in which this product cannot be imported."""
    given = [json.dumps({name: str(folder) for name, folder in folders.items()})]
    given.append(json.dumps([base64.b64encode(each).decode() for each in (BLUE, RED)]))
    before = {name: digests(folder) for name, folder in folders.items()}
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ASK), *given], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert {name: digests(folder) for name, folder in folders.items()} == before  # no compiled code left
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def test_no_file_of_a_version_is_a_pickle_and_one_is_its_onnx_file(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        names = digests(folder)
        assert not [name for name in names if Path(name).suffix in (".pkl", ".pickle", ".pt", ".joblib")]
        assert not [name for name in names if unsafe_in(folder / name)]
        assert onnx_file(folder, names, "it") == folder / "model.onnx"


def test_the_onnx_file_is_byte_for_byte_the_one_that_was_measured(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    assert (folders["classes"] / "model.onnx").read_bytes() == classifier(tmp_path).onnx.read_bytes()


def test_a_classifier_gives_the_class_and_all_probabilities(
    folders: dict[str, Path], said: dict[str, Any]
) -> None:
    direct = open_onnx(folders["classes"] / "model.onnx").probabilities([BLUE, RED])
    for row, values, name in zip(said["classes"], direct, ("blue", "red"), strict=True):
        assert row["class"] == name
        assert row["probability"] == row["probabilities"][name] == max(row["probabilities"].values())
        assert list(row["probabilities"].values()) == values.astype(float).tolist()


def test_a_detector_gives_boxes_in_pixels_of_the_picture(
    folders: dict[str, Path], said: dict[str, Any]
) -> None:
    [found, _] = open_onnx(folders["boxes"] / "model.onnx").boxes([BLUE, RED])
    row = said["boxes"][0]
    assert row["boxes"] == found.corners.astype(float).tolist()
    assert row["boxes"] == [[16, 16, 48, 32]]  # 64 x 48 shown as 32 x 24 with 4 above
    assert (row["scores"], row["classes"]) == ([pytest.approx(0.9)], ["bar"])


def test_a_detectors_threshold_may_be_given(said: dict[str, Any]) -> None:
    assert said["faint"][0]["classes"] == ["bar", "square"]


def test_the_input_example_is_answered(said: dict[str, Any]) -> None:
    assert said["classes example"] == said["boxes example"] == 1


def test_what_is_no_picture_is_named_by_its_row(said: dict[str, Any]) -> None:
    for name in ("classes", "boxes"):
        code, says = said[f"{name} error"]
        assert code == "INVALID_PARAMETER_VALUE"
        assert "image of row 1: the bytes given is not a readable image" in says


def test_the_network_alone_is_still_loaded_as_onnx(folders: dict[str, Path]) -> None:
    import mlflow.onnx

    loaded = mlflow.onnx.load_model(str(folders["classes"]))
    assert [entry.name for entry in loaded.graph.input] == ["images"]


def test_what_has_to_be_installed_is_named_with_its_version(folders: dict[str, Path]) -> None:
    needed = (folders["classes"] / "requirements.txt").read_text().split()
    assert f"onnxruntime=={version('onnxruntime')}" in needed
    assert not [line for line in needed if "torch" in line or "opencv" in line or "==" not in line]
    assert [line for line in (folders["boxes"] / "requirements.txt").read_text().split() if "opencv" in line]


def test_the_preprocessing_stands_in_the_models_metadata(folders: dict[str, Path]) -> None:
    told = yaml.safe_load((folders["boxes"] / "MLmodel").read_text())["metadata"]
    assert json.loads(told["preprocessing"])["classes"] == ["square", "bar"]


def test_versions_of_different_code_are_loaded_in_one_process(tmp_path: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd

    first, second = (saved(classifier(tmp_path), tmp_path / name) for name in ("first", "second"))
    code = second / "served_model.py"
    code.write_text(code.read_text().replace('{"class": surest,', '{"class": surest.upper(),'))
    loaded = [mlflow.pyfunc.load_model(str(folder)) for folder in (first, second, first)]
    answers = [model.predict(pd.DataFrame({"image": [BLUE]}))["class"].tolist() for model in loaded]
    assert answers == [["blue"], ["BLUE"], ["blue"]]


def test_the_code_of_a_version_is_one_file_that_imports_nothing_of_ours(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        [code] = folder.rglob("*.py")
        modules = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(code.read_text()))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [each.name for each in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        }
        assert not modules & {"mlops", "registry", ""}


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "L", "RGB", "RGBA", "P", "CMYK", "LA", "1"])
def test_images_of_every_mode_become_rgb_as_training_makes_them(mode: str) -> None:
    from PIL import Image

    from mlops.data.pixels import as_rgb
    from mlops.prediction.onnx_model import _rgb

    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1021
    opened = Image.fromarray(values) if mode == "I;16" else Image.new(mode, (8, 8), 1)
    assert np.array_equal(np.asarray(_rgb(opened)), np.asarray(as_rgb(opened)))


def test_base64_that_mlflow_left_as_it_is_is_a_picture_too(folders: dict[str, Path]) -> None:
    import pandas as pd

    from mlops.prediction.onnx_model import ServedPictures

    served = ServedPictures(open_onnx(folders["classes"] / "model.onnx"))
    texts = [base64.b64encode(BLUE).decode(), base64.encodebytes(BLUE), np.bytes_(base64.b64encode(BLUE))]
    assert served.predict(pd.DataFrame({"image": texts}))["class"].tolist() == ["blue"] * 3
