"""Load the trained network of a version from its weights, to convert, run and compare it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import GateRefused, MissingPackage, MissingWeights, UnknownVersion, UnsafeWeights, require
from mlops.files.digests import sha256_of
from mlops.store.client import asking
from registry.evidence.version_files import WEIGHTS_DIGEST_TAG
from registry.export.exported_version import Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FOLDER = "weights"
_BEST = ("best.safetensors", "best.pt")


@contextmanager
def trained_network(client: MlflowClient, version: Version, cache: Path) -> Iterator[tuple[Any | None, str]]:
    """The network on the CPU and ""; or None and the reason why it is not available.

    Missing weights are not an error, as formats converted from the ONNX file do not need them. Raises
    GateRefused for a file that differs from the one recorded by training, UnsafeWeights for a checkpoint of
    an earlier release that could call anything but layers; neither is loaded.
    """
    try:
        require("a format that is converted from the trained network", "torch")
    except MissingPackage as error:
        yield None, str(error)
        return
    with tempfile.TemporaryDirectory(prefix="mlops-weights-") as folder:
        try:
            file = _fetched(client, version, folder)
        except UnknownVersion as error:
            yield None, str(error)
            return
        digest, recorded = sha256_of(file), _recorded(version, file.name)
        if digest != recorded:
            raise GateRefused(
                f"{version.name} is not exported: {_FOLDER}/{file.name} was changed after training "
                f"(SHA-256 {digest[:12]}, recorded {recorded[:12] or 'nothing'})"
            )
        try:
            yield (
                _detector(version, file, cache) if version.by_ultralytics else _classifier(version, file),
                "",
            )
        except MissingWeights as error:
            raise GateRefused(f"{version.name}: {error}") from error


def _recorded(version: Version, name: str) -> str:
    """The SHA-256 in the ledger; in the version's tag if the ledger has none."""
    held = version.registered.run_file_digests if version.registered is not None else {}
    return held.get(f"{_FOLDER}/{name}") or ("" if held else version.tags.get(WEIGHTS_DIGEST_TAG, ""))


def _fetched(client: MlflowClient, version: Version, folder: str) -> Path:
    run_id = version.run.info.run_id
    with asking(f"looking for the weights of {version.name}"):
        there = {Path(item.path).name: item.path for item in client.list_artifacts(run_id, _FOLDER)}
    best = next((there[name] for name in _BEST if name in there), None)
    if best is None:
        raise UnknownVersion(f"run {run_id[:8]} has no {' or '.join(_BEST)} in {_FOLDER}/")
    with asking(f"fetching the weights of {version.name}"):
        return Path(client.download_artifacts(run_id, best, folder))


def _classifier(version: Version, file: Path) -> Any:
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.training.classification.classifier_export import network_served

    model, side = version.run.data.params.get("model", ""), int(version.preprocessing["side"])
    part: Any = ClassificationRecipe.model_construct  # only the architecture matters here
    recipe = part(model=model, weights="none", dropout=0.0, image_size=side)
    return network_served(recipe, len(version.classes), file)


def _detector(version: Version, file: Path, cache: Path) -> Any:
    """From the safetensors file; a checkpoint of an earlier release is converted first, never opened here."""
    from mlops.training.detection.ultralytics_library import keeping_threads, quiet, settle

    settle(cache)
    from mlops.training.conversion import converted
    from mlops.training.detection.detector_export import network_served
    from mlops.training.detection.recorded_network import write_recorded
    from mlops.training.joint import joint_network  # noqa: F401 - adds the builder of joint networks

    if file.suffix == ".pt":
        try:
            file = converted(file, cache / _FOLDER, write_recorded)
        except UnsafeWeights as error:
            raise UnsafeWeights(f"{version.name} is not exported: {error}") from error
    with quiet(), keeping_threads():
        network, _ = network_served(file)
    return network
