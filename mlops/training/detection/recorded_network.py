"""The network in a checkpoint that was read as data: its tensors and its description, without building it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlops.errors import MissingWeights
from mlops.training.checkpoint_reader import Recorded, plain, tensors_of, with_tensors
from mlops.training.detection.network_file import DETECTOR, JOINT, NetworkDescription, settings_of
from mlops.training.tensor_file import write_tensors

if TYPE_CHECKING:
    from pathlib import Path

_CLASSES = {
    "ultralytics.nn.tasks.DetectionModel": DETECTOR,
    "mlops.training.joint.joint_network.JointModel": JOINT,
    "mlops.training.joint.network.JointModel": JOINT,  # release 0.1's name
}
_NUMBERS = ("epoch", "updates", "best_fitness", "scaler", "stopper")


def write_recorded(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    """Write the network, and what is needed to resume its training, as `network_file` reads it.

    checkpoint: the content of `file`, which Ultralytics or a joint training wrote, by `read_checkpoint`.
    Raises MissingWeights for a checkpoint without such a network.
    """
    recorded = next(
        (checkpoint[key] for key in ("ema", "model") if isinstance(checkpoint.get(key), Recorded)), None
    )
    yaml = plain(recorded.state.get("yaml")) if recorded is not None else None
    if recorded is None or not isinstance(yaml, dict):
        raise MissingWeights(f"weights={file} does not hold an Ultralytics network")
    if recorded.name not in _CLASSES:
        known = ", ".join(_CLASSES)
        raise MissingWeights(f"weights={file} holds a {recorded.name}; expected one of {known}")
    modules = dict(_modules(recorded, ""))
    names = plain(recorded.state.get("names"))
    channels = yaml.get("channels", yaml.get("ch", 3))
    description = NetworkDescription(
        kind=_CLASSES[recorded.name],
        yaml=yaml,
        channels=channels if isinstance(channels, int) else 3,
        names={int(i): n for i, n in names.items() if isinstance(n, str) and str(i).isdecimal()}
        if isinstance(names, dict)
        else {},
        settings=settings_of((path, module.state) for path, module in modules.items()),
        activations={
            path: module.name.rpartition(".")[2]
            for path, module in modules.items()
            if module.name.startswith("torch.nn.modules.activation.")
        },
        tasks=tuple(map(str, plain(recorded.state.get("tasks")) or ())),
    )
    training = _training(checkpoint, recorded)
    write_tensors(target, tensors_of(recorded), network=asdict(description), training=training)


def _training(checkpoint: Mapping[str, Any], recorded: Recorded) -> dict[str, Any]:
    optimizer = with_tensors(checkpoint.get("optimizer"))
    if not isinstance(optimizer, dict):
        return {}
    found = {key: plain(checkpoint.get(key)) for key in _NUMBERS}
    balance = with_tensors(recorded.state.get("balance_state"))
    return {**found, "optimizer": optimizer, **({} if balance is None else {"balance": balance})}


def _modules(module: Recorded, path: str) -> Iterator[tuple[str, Recorded]]:
    yield path, module
    children = module.state.get("_modules")
    for name, child in children.items() if isinstance(children, Mapping) else ():
        if isinstance(child, Recorded):
            yield from _modules(child, f"{path}.{name}" if path else str(name))
