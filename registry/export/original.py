"""The network that a version was made of, from the weights that its training left on its run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.data.digest import sha256_of
from mlops.errors import GateRefused, MissingWeights, UnknownVersion, UnsafeWeights
from registry.connect import asking
from registry.export.version import WEIGHTS_TAG, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FOLDER = "weights"
_BEST = ("best.safetensors", "best.pt")


@contextmanager
def trained_network(client: MlflowClient, version: Version, cache: Path) -> Iterator[tuple[Any | None, str]]:
    """The network on the CPU, ready to answer, and ""; or None, and the reason why it cannot be had.

    Weights that cannot be had are no fault: formats that come from the ONNX file can still be made. Raises
    GateRefused for a file that is not the one which training recorded, UnsafeWeights for a pickle that could
    call anything but layers; neither is loaded.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-weights-") as folder:
        try:
            file = _fetched(client, version, folder)
        except UnknownVersion as error:
            yield None, str(error)
            return
        digest, recorded = sha256_of(file), version.tags.get(WEIGHTS_TAG, "")
        if digest != recorded:
            raise GateRefused(
                f"{version.name}: {_FOLDER}/{file.name} on its run is not the file that training made "
                f"(SHA-256 {digest[:12]}, recorded {recorded[:12] or 'nothing'}), so it is not loaded"
            )
        try:
            yield (
                (_detector(version, file, cache) if file.suffix == ".pt" else _classifier(version, file)),
                "",
            )
        except MissingWeights as error:
            raise GateRefused(f"{version.name}: {error}") from error


def _fetched(client: MlflowClient, version: Version, folder: str) -> Path:
    run_id = version.run.info.run_id
    with asking(f"looking for the weights of {version.name}"):
        there = {Path(item.path).name: item.path for item in client.list_artifacts(run_id, _FOLDER)}
    best = next((there[name] for name in _BEST if name in there), None)
    if best is None:
        raise UnknownVersion(f"run {run_id[:8]} holds no {' or '.join(_BEST)} in {_FOLDER}/")
    with asking(f"fetching the weights of {version.name}"):
        return Path(client.download_artifacts(run_id, best, folder))


def _classifier(version: Version, file: Path) -> Any:
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.training.classification.serving import network_served

    model, side = version.run.data.params.get("model", ""), int(version.preprocessing["side"])
    part: Any = ClassificationRecipe.model_construct  # of a recipe, the architecture alone makes a network
    recipe = part(model=model, weights="none", dropout=0.0, image_size=side)
    return network_served(recipe, len(version.classes), file)


def _detector(version: Version, file: Path, cache: Path) -> Any:
    """Scanned first: a checkpoint of the library is a pickle of a whole network."""
    from mlops.training.detection.library import keeping_threads, quiet, settle

    settle(cache)
    from mlops.training.detection.serving import network_served
    from mlops.training.detection.start import unsafe_in_checkpoint

    if unsafe := unsafe_in_checkpoint(file):
        raise UnsafeWeights(
            f"{version.name}: {_FOLDER}/{file.name} on its run could run code when it is loaded "
            f"({', '.join(unsafe)}), so it was not"
        )
    with quiet(), keeping_threads():
        network, _ = network_served(file)
    return network
