"""The tags of a version: what it answers for, and what a release is judged by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import DetectionDataset
from mlops.data.digest import sha256_of
from mlops.search.runs import first_weights_tag
from mlops.systems import recipe_digest
from mlops.systems.recipe import AnyRecipe
from mlops.systems.spec import SystemSpec
from mlops.tracking.environment import code_state
from mlops.tracking.identity import TRAINED_BY_TAG, me
from mlops.training.protocol import ServingModel, TestResult

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset


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
        **_image_classes(dataset),
        "mlops.preprocessing": json.dumps(serving.preprocessing),
        "mlops.weights_digest": sha256_of(weights),
        TRAINED_BY_TAG: me(),
        **first_weights_tag(recipe),
        "mlops.onnx_digest": sha256_of(serving.onnx),
        **{name: f"{value:.6g}" for name, value in sorted(test.metrics.items()) if name.count("/") == 1},
    }


def _image_classes(dataset: Dataset) -> dict[str, str]:
    """Of a joint data set, the classes of whole pictures beside those of the boxes."""
    named = dataset.image_classes if isinstance(dataset, DetectionDataset) else ()
    return {"mlops.image_class_map": json.dumps(dict(enumerate(named)))} if named else {}
