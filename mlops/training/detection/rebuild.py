"""A detector out of a checkpoint that anybody may have written, without running what is in it.

The checkpoint is read as data (`mlops.training.checkpoint_reader`). It states a description of the network,
which is checked (`model_yaml`), names and numbers; the network is built from the description by Ultralytics'
classes, and the tensors are loaded into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops.errors import BadSetting, MissingWeights
from mlops.training.checkpoint_reader import Recorded, read_checkpoint, tensors_of
from mlops.training.detection.model_yaml import checked_model

if TYPE_CHECKING:
    from torch import nn

Builder: TypeAlias = "Callable[[Recorded, dict[str, Any], Mapping[str, Any], int], Any]"
"""From a recorded network, its checked description, its tensors and the image's channels to a network."""

DETECTOR = "ultralytics.nn.tasks.DetectionModel"
_JOINT = "mlops.training.joint."  # without its builder, the detector in it
BUILDERS: dict[str, Builder] = {}
"""Networks besides `DETECTOR` by the name of their class; the package that has one adds its builder."""

_ACTIVATIONS = ("Identity", "SiLU", "ReLU", "ReLU6", "LeakyReLU", "GELU", "Mish", "Hardswish", "ELU")
_OF_THE_MOMENT = ("training", "export", "dynamic")
_MOST_COUNT = 65_536
_PLAIN = ("epoch", "updates", "best_fitness", "date", "version", "license", "scaler", "stopper")


@dataclass(frozen=True)
class RebuiltCheckpoint:
    """network: on the CPU, float32. content: see `rebuild`."""

    network: nn.Module
    content: dict[str, Any]


def rebuild(file: Path) -> RebuiltCheckpoint:
    """The network of a checkpoint that Ultralytics, or a joint training, wrote.

    `content` is a checkpoint as Ultralytics reads it, made of our own objects: the network as `ema`, numbers,
    texts and, where training can go on from it, the optimizer's tensors.

    Raises UnsafeWeights for a file that is not read here, MissingWeights for one without such a network or
    where no tensor fits it, BadSetting for a network that is not allowed, OSError.
    """
    held = read_checkpoint(file)
    recorded = next((held[key] for key in ("ema", "model") if isinstance(held.get(key), Recorded)), None)
    if recorded is None or "yaml" not in recorded.state:
        raise MissingWeights(f"weights={file} does not hold an Ultralytics network")
    tensors = {
        name: value.float() if value.is_floating_point() else value
        for name, value in tensors_of(recorded).items()
    }
    network: Any = _network(recorded, tensors, str(file))
    _as_recorded(network, recorded)
    own = network.state_dict()
    fitting = {
        name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape
    }
    if not fitting:
        described = ", ".join(row[2] for row in network.yaml["backbone"][:4])
        raise MissingWeights(
            f"{file}: none of its {len(tensors)} tensors fits the network that it describes ({described} ...)"
        )
    network.load_state_dict(fitting, strict=False)
    content = {key: plain(held[key]) for key in _PLAIN if key in held}
    content["train_args"] = plain(held.get("train_args")) or {}
    content["train_metrics"] = plain(held.get("train_metrics")) or {}
    content["optimizer"] = _optimizer(held.get("optimizer"))
    content |= {"model": None, "ema": network, "modelopt": None}
    return RebuiltCheckpoint(network.float(), content)


def save_rebuilt(file: Path, target: Path) -> Path:
    """Write `rebuild(file)` to `target`, for Ultralytics' own loader; gives `target`."""
    import torch

    from mlops.files.atomic import partial_file

    made = rebuild(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(target) as partial:
        torch.save(made.content, partial)
    return target


def _network(recorded: Recorded, tensors: Mapping[str, Any], where: str) -> Any:
    described = checked_model(plain(recorded.state["yaml"]), where)
    channels = int(described.get("channels", described.get("ch", 3)))
    if recorded.name not in (DETECTOR, *BUILDERS) and not recorded.name.startswith(_JOINT):
        raise BadSetting(where, "the network", recorded.name, "a detector of Ultralytics, or a joint one")
    network = BUILDERS.get(recorded.name, _detector)(recorded, described, tensors, channels)
    names = plain(recorded.state.get("names"))
    if isinstance(names, dict) and all(isinstance(name, str) for name in names.values()):
        network.names = {int(index): name for index, name in names.items() if str(index).isdecimal()}
    return network


def _detector(
    recorded: Recorded, described: dict[str, Any], tensors: Mapping[str, Any], channels: int
) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(described, ch=channels, verbose=False)


def _as_recorded(network: nn.Module, recorded: Recorded) -> None:
    """Give `network` what the recorded one states beside tensors and other releases of Ultralytics build
    otherwise: activations, and the modules' switches and counts.
    """
    from torch import nn

    for name, value in recorded.state.items():
        number = float(value) if isinstance(value, int | float) else math.inf
        own = vars(network).get(name)
        if type(value) is type(own) and name not in _OF_THE_MOMENT and abs(number) <= _MOST_COUNT:
            setattr(network, name, value)
    for name, child in (recorded.state.get("_modules") or {}).items():
        own = dict(network.named_children()).get(name) if isinstance(child, Recorded) else None
        if own is None:
            continue
        kind = child.name.rpartition(".")[2]
        if kind in _ACTIVATIONS and child.name.startswith("torch.nn.") and type(own).__name__ != kind:
            own = getattr(nn, kind)()
            setattr(network, name, own)
        _as_recorded(own, child)


def _optimizer(state: Any) -> Any:
    """An optimizer's state: its groups' numbers, and a dictionary of tensors for each parameter."""
    return with_tensors(state) if isinstance(state, dict) else None


def with_tensors(value: Any) -> Any:
    """`value` without anything but plain values and tensors."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, dict):
        return {key: with_tensors(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_tensors(each) for each in value)
    return plain(value)


def plain(value: Any) -> Any:
    """`value` as numbers, texts, lists and dictionaries; a recorded path as its text, all else as None."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if isinstance(key, str | int | float)}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Recorded):
        if "Path" in value.name:
            return "/".join(str(each) for each in value.arguments)
        if value.name.endswith("IterableSimpleNamespace"):
            return plain(value.state)
    return None
