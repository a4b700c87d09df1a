"""The MLflow model of a version: its ONNX file, the code that runs it, and no pickle.

Two flavors of one file: `python_function` takes images as bytes and returns classes and boxes by name; `onnx`
is the network alone, tensors in and out (`mlflow.onnx.load_model`).

The code is MLflow's models-from-code: one file, a copy of `mlops.prediction.onnx_model` with a few lines for
MLflow at its end. MLflow imports it under a name of its own, so versions of different code can be loaded in
one process, and where this product is not installed.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.prediction import onnx_model
from mlops.prediction.onnx_model import COLUMN

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature


@dataclass(frozen=True, slots=True)
class ServingModel:
    """The best weights as ONNX, with what MLflow needs to serve them.

    input_shape, and each shape in outputs: with -1 for the dynamic batch axis.
    preprocessing: resize, mean, std, colour order, value range: everything a caller must do to an image.
    """

    onnx: Path
    input_name: str
    input_shape: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]
    preprocessing: Mapping[str, object]


_CODE = "served_model.py"
_FOR_MLFLOW = '''

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ServedModel(PythonModel):
    """What MLflow loads. model_config: `threads` of ONNX Runtime for one operator, 0 for one a core."""

    def load_context(self, context):
        threads = int((context.model_config or {}).get("threads", 0))
        self._served = ServedPictures(open_onnx(Path(__file__).with_name("model.onnx"), threads=threads))

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return self._served.predict(model_input, params)


set_model(ServedModel())
'''
_NO_CACHE = (
    "This file keeps Python from writing compiled code here: any file written into a version's folder counts "
    "as a change of the version.\n"
)
_NEEDED = ("mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pillow")
_NEEDED_FOR_BOXES = (("opencv-python-headless", "opencv-python"),)  # either; the first needs no display


def model_folder(serving: ServingModel, out: Path) -> Path:
    """Write `serving` as an MLflow model to `out`/model; replaces an existing one.

    Its requirements are pinned to the versions that are installed here.
    """
    import mlflow.onnx
    import onnx
    from mlflow.models import Model

    folder = out / "model"
    if folder.exists():
        shutil.rmtree(folder)
    model = Model()
    mlflow.onnx.save_model(
        onnx.load(str(serving.onnx)),
        str(folder),
        mlflow_model=model,
        signature=signature_of(serving),
        input_example=_example(serving),
        metadata={"preprocessing": json.dumps(serving.preprocessing)},
        pip_requirements=_requirements(serving),
        save_as_external_data=False,
    )
    shutil.copyfile(serving.onnx, folder / "model.onnx")  # byte for byte what was measured
    _serve_pictures(model, folder)
    return folder


def _serve_pictures(model: Model, folder: Path) -> None:
    """Replace the flavor's loader, which takes tensors, by `ServedPictures`."""
    import mlflow.pyfunc

    source = Path(onnx_model.__file__).read_text(encoding="utf-8")
    (folder / _CODE).write_text(source + _FOR_MLFLOW, encoding="utf-8")
    (folder / "__pycache__").write_text(_NO_CACHE, encoding="utf-8")
    environment = model.flavors[mlflow.pyfunc.FLAVOR_NAME]["env"]
    mlflow.pyfunc.add_to_model(
        model,
        loader_module="mlflow.pyfunc.model",
        conda_env=environment["conda"],
        python_env=environment["virtualenv"],
        model_config={"threads": 0},
        model_code_path=_CODE,
    )
    model.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    model.save(str(folder / "MLmodel"))


def signature_of(serving: ServingModel) -> ModelSignature:
    """Image bytes in; one column per kind of output. A model with boxes also takes its thresholds."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map

    answers: list[Any] = []
    params: Any = None  # as it may be, whatever MLflow annotates
    if _has(serving, rank=3):
        answers += [
            ColSpec(Array(Array(DataType.double)), "boxes"),
            ColSpec(Array(DataType.double), "scores"),
            ColSpec(Array(DataType.string), "classes"),
        ]
        stated: Any = serving.preprocessing.get("nms") or {}
        params = ParamSchema(
            [
                ParamSpec("score", DataType.double, float(stated.get("score", 0.25))),
                ParamSpec("iou", DataType.double, float(stated.get("iou", 0.7))),
                ParamSpec("most", DataType.long, int(stated.get("most", 300))),
            ]
        )
    if _has(serving, rank=2):
        answers += [
            ColSpec(DataType.string, "class"),
            ColSpec(DataType.double, "probability"),
            ColSpec(Map(DataType.double), "probabilities"),
        ]
    inputs = Schema([ColSpec(DataType.binary, COLUMN)])
    return ModelSignature(inputs=inputs, outputs=Schema(answers), params=params)


def _has(serving: ServingModel, *, rank: int) -> bool:
    """Whether an output is boxes (rank 3) or probabilities (rank 2)."""
    return any(len(shape) == rank for shape in serving.outputs.values())


def _example(serving: ServingModel) -> Any:
    """A grey image as PNG; not an image of the data set, which may show a patient."""
    import pandas as pd
    from PIL import Image

    height, width = serving.input_shape[2:]
    file = io.BytesIO()
    Image.new("RGB", (width, height), (128, 128, 128)).save(file, "PNG")
    return pd.DataFrame({COLUMN: [file.getvalue()]})


def _requirements(serving: ServingModel) -> list[str]:
    names = [_installed(name) for name in _NEEDED]
    if serving.preprocessing.get("resize") == "letterbox":
        names += [_installed(*either) for either in _NEEDED_FOR_BOXES]
    return names


def _installed(*either: str) -> str:
    """`name==version` of the first that is installed."""
    for name in either:
        try:
            return f"{name}=={version(name)}"
        except PackageNotFoundError:
            continue
    return either[0]
