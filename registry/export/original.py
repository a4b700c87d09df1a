"""Load the trained network of a version from its weights, to convert, run and compare it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import GateRefused, MissingPackage, MissingWeights, UnknownVersion, UnsafeWeights, require
from mlops.files.digests import sha256_of
from mlops.store.client import asking
from registry.export.exported_version import WEIGHTS_TAG, Version
from registry.export.formats.contract import CallSession, NotMade, Original, Port, Session

if TYPE_CHECKING:
    import torch
    from mlflow import MlflowClient
    from numpy.typing import NDArray

_FOLDER = "weights"
_BEST = ("best.safetensors", "best.pt")


@contextmanager
def trained_network(client: MlflowClient, version: Version, cache: Path) -> Iterator[tuple[Any | None, str]]:
    """The network on the CPU and ""; or None and the reason why it is not available.

    Missing weights are not an error, as formats converted from the ONNX file do not need them. Raises
    GateRefused for a file that differs from the one recorded by training, UnsafeWeights for a pickle that
    could call anything but layers; neither is loaded.
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
        digest, recorded = sha256_of(file), version.tags.get(WEIGHTS_TAG, "")
        if digest != recorded:
            raise GateRefused(
                f"{version.name} is not exported: {_FOLDER}/{file.name} was changed after training "
                f"(SHA-256 {digest[:12]}, recorded {recorded[:12] or 'nothing'})"
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
    """Scans the file first, as a checkpoint of the library is a pickle of a whole network."""
    from mlops.training.detection.ultralytics_library import keeping_threads, quiet, settle

    settle(cache)
    from mlops.training.detection.detector_export import network_served
    from mlops.training.detection.first_weights import unsafe_in_checkpoint

    if unsafe := unsafe_in_checkpoint(file):
        raise UnsafeWeights(
            f"{version.name} is not exported: {_FOLDER}/{file.name} of its run could run code when loaded "
            f"({', '.join(unsafe)})"
        )
    with quiet(), keeping_threads():
        network, _ = network_served(file)
    return network


INPUT = "images"


def network_of(source: Original) -> torch.nn.Module:
    """Raises NotMade if the version's weights are not available."""
    if source.network is None:
        raise NotMade(f"it needs the trained weights: {source.no_network}")
    network: torch.nn.Module = source.network
    for module in network.modules():
        if hasattr(module, "anchors") and hasattr(module, "shape"):
            setattr(module, "shape", None)  # noqa: B010 - a detector's memory of its last size: tensors, once it was traced
    return network.eval()


def torch_session(call: Any, side: int) -> Session:
    """A session around a torch function on float32 images; its outputs are named by their order."""
    import torch

    with torch.no_grad():
        answers = _tensors(call(torch.full((1, 3, side, side), 0.5)))
    gives = tuple(
        Port(f"output{i}", "tensor(float)", (None, *each.shape[1:])) for i, each in enumerate(answers)
    )

    def run(pictures: NDArray[Any]) -> Sequence[NDArray[Any]]:
        with torch.no_grad():
            return [each.numpy() for each in _tensors(call(torch.from_numpy(pictures)))]

    return CallSession(Port(INPUT, "tensor(float)", ("batch", 3, side, side)), gives, run)


def _tensors(answer: Any) -> tuple[torch.Tensor, ...]:
    return tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
