"""From best weights to a version: ONNX as an MLflow model, with the tags a release is judged by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.digest import sha256_of
from mlops.systems import recipe_digest
from mlops.systems.recipe import AnyRecipe
from mlops.systems.spec import SystemSpec
from mlops.tracking.environment import code_state
from mlops.training.protocol import ServingModel, TestResult

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset

_LARGE_PICTURE = 3 * 320 * 320  # values


def model_folder(serving: ServingModel, out: Path) -> Path:
    """Write `serving` as an MLflow model (flavour onnx: nothing in it needs pickle) with its signature.

    The signature's batch axis is free (-1), so that a batch of any size is accepted. The input example is two
    grey pictures, or one where two would be large: MLflow writes it as JSON, twice.
    """
    import mlflow.onnx
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    folder = out / "model"
    if folder.exists():
        shutil.rmtree(folder)
    float32 = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(float32, serving.input_shape, serving.input_name)]),
        outputs=Schema([TensorSpec(float32, shape, name) for name, shape in serving.outputs.items()]),
    )
    picture = serving.input_shape[1:]
    example = np.full((2 if np.prod(picture) < _LARGE_PICTURE else 1, *picture), 0.5, dtype=np.float32)
    mlflow.onnx.save_model(
        onnx.load(str(serving.onnx)),
        str(folder),
        signature=signature,
        input_example={serving.input_name: example},
        metadata={"preprocessing": json.dumps(serving.preprocessing)},
        pip_requirements=["mlflow", "onnx", "onnxruntime", "numpy"],
        save_as_external_data=False,
    )
    return folder


def version_tags(
    spec: SystemSpec,
    recipe: AnyRecipe,
    dataset: Dataset,
    serving: ServingModel,
    weights: Path,
    test: TestResult,
) -> dict[str, str]:
    """What a version answers for: DESIGN's list, the digest of its weights, and its held-out headline."""
    code, identity = code_state(), dataset.identity
    return {
        "mlops.system": spec.name,
        "mlops.dataset_digest": identity.digest,
        "mlops.dataset_version": identity.version,
        "mlops.demo": str(identity.demo).lower(),
        "mlops.recipe_digest": recipe_digest(recipe),
        "mlops.code_commit": code.commit,
        "mlops.code_dirty": str(code.dirty).lower(),
        "mlops.licence": spec.licence,
        "mlops.class_map": json.dumps(dict(enumerate(dataset.classes))),
        "mlops.preprocessing": json.dumps(serving.preprocessing),
        "mlops.weights_digest": sha256_of(weights),
        "mlops.onnx_digest": sha256_of(serving.onnx),
        **{name: f"{value:.6g}" for name, value in sorted(test.metrics.items()) if name.count("/") == 1},
    }
