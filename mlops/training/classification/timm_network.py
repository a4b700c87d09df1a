"""The network: created by timm with the recipe's initial weights, stored as safetensors."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from mlops.errors import BadSetting, MissingWeights
from mlops.files.atomic import partial_file
from mlops.training.weights import find_weights, require_server, unavailable, wants_none

if TYPE_CHECKING:
    from mlops.systems.recipe import ClassificationRecipe

LIBRARY_NAME = "imagenet"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """The architecture's mean and standard deviation per channel of RGB in 0..1 (timm's `pretrained_cfg`:
    ImageNet's for most networks, 0.5 for those from TensorFlow).
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build(recipe: ClassificationRecipe, classes: int, seed: int) -> nn.Module:
    """A new network with the recipe's initial weights. Raises BadSetting, MissingWeights."""
    _require_model(recipe.model)
    fetch = recipe.weights.strip().lower() == LIBRARY_NAME and not _fetched(recipe.model)
    if fetch:
        _require_hub(recipe.model)
    network = _create(recipe, classes, seed, pretrained=fetch)
    file = _first_weights(recipe)
    if file is not None:
        _take(network, file, recipe.model)
    return network


def check(recipe: ClassificationRecipe) -> None:
    """Raise BadSetting or MissingWeights for an unavailable model or weights; creates nothing."""
    _require_model(recipe.model)
    if recipe.weights.strip().lower() == LIBRARY_NAME:
        if not _fetched(recipe.model):
            _require_hub(recipe.model)
    else:
        _first_weights(recipe)


def rebuild(recipe: ClassificationRecipe, classes: int, weights: Path) -> nn.Module:
    """The network that `save` wrote. Raises MissingWeights if the file is of another model."""
    network = _create(recipe, classes, 0, pretrained=False)
    try:
        network.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise MissingWeights(
            f"{weights} does not have the weights of {recipe.model} with {classes} classes"
        ) from error
    return network


def save(network: nn.Module, file: Path, **says: object) -> None:
    """Write the network's tensors and `says` as the file's metadata, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with partial_file(file) as partial:
        save_file(tensors, partial, metadata={key: json.dumps(value) for key, value in says.items()})


def normalisation(network: nn.Module) -> Normalisation:
    config: Any = network.pretrained_cfg
    return Normalisation(tuple(config["mean"]), tuple(config["std"]))


def head_parameters(network: Any) -> list[nn.Parameter]:
    """The parameters of the classification head; all others belong to the backbone."""
    return list(network.get_classifier().parameters())


def _create(recipe: ClassificationRecipe, classes: int, seed: int, *, pretrained: bool) -> nn.Module:
    """Initialise from `seed`, without changing torch's global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = timm.create_model(
            recipe.model, pretrained=pretrained, num_classes=classes, drop_rate=recipe.dropout
        )
    return network


def _require_model(name: str) -> None:
    if timm.is_model(name):
        return
    known: Sequence[str] = timm.list_models()
    close = difflib.get_close_matches(name, known, n=3)
    meant = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise BadSetting("the recipe", "model", name, f"a network of timm{meant}")


def _first_weights(recipe: ClassificationRecipe) -> Path | None:
    """The weights file; None if there are none or timm fetches them."""
    if recipe.weights.strip().lower() == LIBRARY_NAME:
        return _fetched(recipe.model)
    file = find_weights(recipe.weights)
    if file is None and not wants_none(recipe.weights):
        raise MissingWeights(
            f"weights={recipe.weights}: the file does not exist; set `{LIBRARY_NAME}`, `none` or the path of "
            "a safetensors file"
        )
    return file


def _fetched(model: str) -> Path | None:
    """The library's weights, if they were fetched before."""
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(model)
    if config is None or not config.hf_hub_id:
        return None
    found = try_to_load_from_cache(config.hf_hub_id, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _require_hub(model: str) -> None:
    from huggingface_hub import constants

    config = timm.get_pretrained_cfg(model)
    if config is None or not config.has_weights:
        raise unavailable(LIBRARY_NAME, f"timm has no weights for {model}")
    require_server(LIBRARY_NAME, constants.ENDPOINT)


def _holds(described: str) -> str:
    try:
        return f" holds {json.loads(described)!s:.60} and"
    except ValueError:
        return ""


def _take(network: Any, file: Path, model: str) -> None:
    """Load all tensors of `file` except a head of another size. Raises MissingWeights if too few fit."""
    try:
        with safe_open(file, framework="pt") as held:
            given = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 - no mapping
            described = (held.metadata() or {}).get("model", "")  # in a file that `save` wrote
    except (OSError, SafetensorError) as error:
        raise MissingWeights(f"weights={file}: not a safetensors file, the only supported format") from error
    own = network.state_dict()
    fitting = {name: t for name, t in given.items() if name in own and own[name].shape == t.shape}
    head = {id(parameter) for parameter in head_parameters(network)}
    needed = {name for name, parameter in network.named_parameters() if id(parameter) not in head}
    if not needed <= fitting.keys():
        lacking = sorted(needed - fitting.keys())
        raise MissingWeights(
            f"weights={file}{_holds(described)} does not fit model={model}: {len(lacking)} of {len(needed)} "
            f"weights are missing or have another shape (first: {lacking[0]})"
        )
    network.load_state_dict(fitting, strict=False)
