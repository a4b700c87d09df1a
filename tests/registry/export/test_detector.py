"""Export a detector: its NMS inside the ONNX file, and weights that are a pickle."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from PIL import Image

from mlops.errors import UnsafeWeights
from mlops.files.digests import sha256_of
from mlops.prediction.onnx_model import PredictedBoxes, open_onnx
from registry.export.bundle.isolated import run_script
from registry.export.formats.onnx_nms import with_nms
from registry.export.proof.certificate import Status
from tests.registry.export.conftest import Export
from tests.registry.export.trained import LINES, Template

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from numpy.typing import NDArray


def test_a_detectors_files_find_the_boxes_of_the_original(
    export: Export, lines_version: str, lines: Template, working_directory: Path
) -> None:
    found = export(lines_version, formats="onnx,torchscript", precisions="fp32,fp16,int8")
    files = {file.key: file for file in found.certificate.files}
    assert list(files) == ["onnx", "onnx-fp16", "onnx-int8", "torchscript"]
    for key in ("onnx", "torchscript"):
        assert files[key].status is Status.PASSED, files[key].reason
        assert files[key].parity.boxes > 20
        assert files[key].parity.iou > 0.999
        assert files[key].parity.difference < 1e-4
    assert files["onnx"].nms["in_model"] is True
    assert files["torchscript"].nms["in_model"] is False
    # untrained, its scores are nearly one: which of them comes first is not for fewer bits to say
    for key in ("onnx-fp16", "onnx-int8"):
        assert files[key].status in (Status.PASSED, Status.FAILED), files[key].reason
        assert files[key].parity.difference < 0.1
        assert files[key].nms["in_model"] is True
    bundle = working_directory / "bundle"
    own = open_onnx(bundle / "model.onnx", threads=1)
    original = open_onnx(lines.serving.onnx, lines.serving.preprocessing, threads=1)
    (mine,), (theirs,) = own.boxes([bundle / "check.png"]), original.boxes([bundle / "check.png"])
    assert len(mine) == len(theirs) > 0
    np.testing.assert_allclose(mine.corners, theirs.corners, atol=1e-3)
    _said_by_script(bundle, theirs, lines.classes)


def _said_by_script(bundle: Path, expected: PredictedBoxes, classes: tuple[str, ...]) -> None:
    """Pillow and OpenCV round a resized pixel differently now and then: scores are near, not the same."""
    rows = [line.split("\t") for line in run_script(bundle).splitlines()]
    near = [
        row for row in rows if any(_alike(row, expected, index, classes) for index in range(len(expected)))
    ]
    assert len(rows) == pytest.approx(len(expected), rel=0.1, abs=2)
    assert len(near) >= 0.9 * len(rows)


def _alike(row: list[str], expected: PredictedBoxes, index: int, classes: tuple[str, ...]) -> bool:
    corners = [float(edge) for edge in row[2:]]
    return (
        row[0] == classes[expected.class_index[index]]
        and abs(float(row[1]) - expected.score[index]) < 0.05
        and bool(np.abs(expected.corners[index] - corners).max() < 2)
    )


def test_the_script_takes_16_bits_of_grey_as_the_version_does(
    export: Export, lines_version: str, working_directory: Path
) -> None:
    export(lines_version)
    check = working_directory / "bundle" / "check.png"
    grey = np.asarray(Image.open(check).convert("L"))
    said = []
    for picture in (grey, grey.astype(np.uint16) * 256):
        Image.fromarray(picture).save(check)
        said.append(run_script(check.parent))
    assert said[0] == said[1] != ""


class _Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


def test_weights_with_a_malicious_pickle_are_refused_and_never_loaded(
    export: Export, lines_version: str, client: MlflowClient, working_directory: Path
) -> None:
    trap = working_directory / "sprung"
    (weights,) = (working_directory / "artifacts").rglob("best.pt")
    weights.write_bytes(pickle.dumps({"model": _Harmful(trap)}))
    number = lines_version.rpartition("/")[2]
    # whoever puts it there may change the tag too
    client.set_model_version_tag(LINES, number, "mlops.weights_digest", sha256_of(weights))
    with pytest.raises(UnsafeWeights, match=r"not exported: .*best\.pt.* could run code .*mkdir"):
        export(lines_version)
    assert not trap.exists()
    assert not (working_directory / "bundle").exists()


def test_nms_inside_a_graph_keeps_what_the_callers_keeps(tmp_path: Path) -> None:
    raw = _heads(np.random.default_rng(0))
    file = tmp_path / "raw.onnx"
    onnx.save(_passes_on(raw.shape), str(file))
    stated = {"resize": "letterbox", "side": 64, "interpolation": "bilinear", "colour_order": "RGB"}
    stated |= {
        "layout": "NCHW",
        "scale": 1.0,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "classes": ["a", "b", "c"],
    }
    nms = {"in_model": False, "score": 0.3, "iou": 0.5, "most": 40}
    outside = open_onnx(file, {**stated, "nms": nms}, threads=1)
    inner = with_nms(onnx.load(str(file)), classes=3, anchors=raw.shape[2], score=0.3, iou=0.5, most=40)
    onnx.checker.check_model(inner)
    onnx.save(inner, str(tmp_path / "inside.onnx"))
    inside = open_onnx(tmp_path / "inside.onnx", {**stated, "nms": {**nms, "in_model": True}}, threads=1)
    inside_rows = inside.session.run(None, {"images": raw})[0]
    outside_rows = outside.session.run(None, {"images": raw})[0]
    from mlops.prediction.onnx_model import listed, suppressed

    for own, other in zip(inside_rows, outside_rows, strict=True):
        expected, given = suppressed(other, 0.3, 0.5, 40, False), listed(own, 0.3, 40)
        assert 5 < len(expected) <= 40
        np.testing.assert_array_equal(given.class_index, expected.class_index)
        np.testing.assert_allclose(given.corners, expected.corners, atol=1e-3)
        np.testing.assert_allclose(given.score, expected.score, atol=1e-6)


def _heads(rng: np.random.Generator) -> NDArray[np.float32]:
    """Two raw heads of three classes and 400 places, (2, 7, 400)."""
    centres, sizes = rng.uniform(5, 60, (2, 2, 400)), rng.uniform(5, 30, (2, 2, 400))
    return np.concatenate([centres, sizes, rng.random((2, 3, 400)) ** 4], axis=1).astype(np.float32)


def _passes_on(shape: tuple[int, ...]) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *shape[1:]])
    leave = helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", *shape[1:]])
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["output0"])], "g", [entry], [leave])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
