"""A detector as a safetensors file: its tensors under their names, and a description of the network as JSON.

The description is checked (`model_yaml`) before Ultralytics builds the network from it; then the tensors are
loaded. Such a file cannot run code, whoever wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops.errors import BadSetting, MissingWeights, MlopsError, UnsafeWeights
from mlops.training.detection.model_yaml import checked_model
from mlops.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

DETECTOR, JOINT = "detector", "joint"
_SETTINGS = ("eps", "momentum", "inplace", "negative_slope", "p", "add", "legacy", "end2end", "max_det")
_MOST = 65_536
_ACTIVATIONS = ("Identity", "SiLU", "ReLU", "ReLU6", "LeakyReLU", "GELU", "Mish", "Hardswish", "ELU")


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """What is needed beside the tensors to build a network.

    kind: `DETECTOR` or `JOINT`. yaml: as in a model YAML of Ultralytics. channels: of the image.
    names: class index -> name. settings: the numbers of `_SETTINGS`, by the module's dotted name; another
    release may build them otherwise. activations: the class in `torch.nn`, by the module's dotted name.
    tasks: of a joint network.
    """

    kind: str
    yaml: Mapping[str, Any]
    channels: int = 3
    names: Mapping[int, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    activations: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """A short name for messages: `yolov8n`, or the first modules.

        >>> NetworkDescription("detector", {"yaml_file": "yolov8n.yaml"}).architecture
        'yolov8n'
        """
        file = self.yaml.get("yaml_file")
        if isinstance(file, str) and file:
            return Path(file).stem
        rows = [
            row for row in self.yaml.get("backbone", ()) if isinstance(row, list | tuple) and len(row) > 2
        ]
        return ", ".join(str(row[2]) for row in rows[:4]) + " ..."


Builder: TypeAlias = "Callable[[NetworkDescription, Mapping[str, Any]], Any]"
"""From a checked description and the tensors to a network; the tensors are loaded afterwards."""


@dataclass(frozen=True, slots=True)
class SavedNetwork:
    """network: on the CPU, float32. training: the values to resume from; empty for final weights."""

    description: NetworkDescription
    network: nn.Module
    training: Mapping[str, Any]


def write_network(
    file: Path, network: Any, *, half: bool = False, training: Mapping[str, Any] | None = None
) -> None:
    """Write `network` and what is needed to resume its training.

    half: store floats in 16 bits, as Ultralytics does with final weights.
    Raises Diverged if a weight is NaN or infinite.
    """
    import torch

    from mlops.errors import Diverged

    tensors = {name: value.detach() for name, value in network.state_dict().items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise Diverged(f"the averaged weights {name} became NaN or infinite")
        if half and value.is_floating_point():
            largest = torch.finfo(torch.float16).max
            tensors[name] = value.clamp(-largest, largest).half()
    write_tensors(file, tensors, network=asdict(describe(network)), training=dict(training or {}))


def read_network(file: Path, *, complete: bool = True, given: Path | None = None) -> SavedNetwork:
    """The network in a file that `write_network` or `mlops.training.conversion` wrote.

    complete: every parameter must be in the file; else at least one tensor, as for initial weights.
    given: the user's file, for messages, if `file` was converted from it.
    Raises UnsafeWeights for a file of another kind, BadSetting for a description that is not allowed,
    MissingWeights if the tensors do not fit it, OSError.
    """
    tensors, values = read_tensors(file)
    description = _description(values.get("network"), given or file)
    return SavedNetwork(
        description, build(description, tensors, given or file, complete), values.get("training") or {}
    )


def describe(network: Any) -> NetworkDescription:
    """The description of a network that Ultralytics or `mlops.training.joint` built."""
    named = dict(network.named_modules())
    return NetworkDescription(
        kind=getattr(network, "kind", DETECTOR),
        yaml=_plain(network.yaml),
        channels=int(network.yaml.get("channels", 3)),
        names={int(index): str(name) for index, name in dict(network.names).items()},
        settings=settings_of((path, vars(module)) for path, module in named.items()),
        tasks=tuple(getattr(network, "tasks", ())),
    )


def settings_of(modules: Any) -> dict[str, dict[str, float]]:
    """From pairs of a module's dotted name and its attributes to those of `_SETTINGS`."""
    found = {
        path: {name: held[name] for name in _SETTINGS if isinstance(held.get(name), bool | int | float)}
        for path, held in modules
    }
    return {path: numbers for path, numbers in found.items() if numbers}


def build(
    description: NetworkDescription, tensors: Mapping[str, Tensor], file: Path, complete: bool
) -> nn.Module:
    """See `read_network`. Leaves torch's random state as it is."""
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            # without its builder, the detector in a joint network
            builder: Any = BUILDERS.get(description.kind, _detector)
            network: nn.Module = builder(description, tensors)
        _apply(network, description)
    except MlopsError:
        raise
    except Exception as error:  # Ultralytics raises anything for a description that is allowed but odd
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnsafeWeights(f"{file}: the network that it describes cannot be built: {reason}") from error
    own, needed = network.state_dict(), {name for name, _ in network.named_parameters()}
    fitting = {name: t for name, t in tensors.items() if name in own and _fits(own[name], t)}
    missing = sorted(needed - fitting.keys())
    if not fitting or (complete and missing):
        raise MissingWeights(
            f"{file}: {len(missing)} of {len(needed)} weights of the network that it describes "
            f"({description.architecture}) are missing, of another shape or not finite (first: "
            f"{', '.join(missing[:1]) or 'none'})"
        )
    network.load_state_dict(fitting, strict=False)
    return network.float()


def _fits(own: Tensor, given: Tensor) -> bool:
    if own.shape != given.shape or own.is_floating_point() != given.is_floating_point() or given.is_complex():
        return False
    return not given.is_floating_point() or bool(given.float().isfinite().all())


def _description(held: Any, file: Path) -> NetworkDescription:
    """Checked, as anyone may have written the file."""
    if not isinstance(held, dict):
        raise UnsafeWeights(f"{file} does not describe a detector")
    try:
        description = NetworkDescription(**{**held, "tasks": tuple(map(str, held.get("tasks") or ()))})
        names = {int(index): str(name) for index, name in description.names.items()}
        channels = int(description.channels)
        settings = {str(path): dict(numbers) for path, numbers in description.settings.items()}
        activations = {str(path): str(name) for path, name in description.activations.items()}
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnsafeWeights(f"{file} describes a detector in an unknown way: {error}") from error
    if description.kind not in (DETECTOR, JOINT):
        raise BadSetting(str(file), "the network", description.kind, f"{DETECTOR}, {JOINT}")
    if not 1 <= channels <= 256:
        raise BadSetting(str(file), "channels", channels, "a number from 1 to 256")
    if max(len(names), len(settings), len(activations)) > _MOST or not isinstance(description.yaml, Mapping):
        raise UnsafeWeights(f"{file} describes a detector in an unknown way")
    yaml = checked_model(dict(description.yaml), str(file))
    return NetworkDescription(
        description.kind, yaml, channels, names, settings, activations, description.tasks
    )


def _apply(network: Any, description: NetworkDescription) -> None:
    """Give the modules the activations and settings of the description, where they have such ones."""
    from torch import nn

    if description.names:
        network.names = dict(description.names)
    modules = dict(network.named_modules(remove_duplicate=False))
    for path, kind in description.activations.items():
        above, _, name = path.rpartition(".")
        own_kind = type(modules.get(path)).__name__
        if own_kind in _ACTIVATIONS and kind in _ACTIVATIONS and own_kind != kind:
            setattr(modules[above], name, getattr(nn, kind)())
    modules = dict(network.named_modules())
    for path, numbers in description.settings.items():
        own = vars(modules[path]) if path in modules else {}
        for name, value in numbers.items():
            if name in _SETTINGS and type(value) is type(own.get(name)) and _is_sound(name, value):
                setattr(modules[path], name, value)


def _is_sound(name: str, value: Any) -> bool:
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        return False
    return 0 < value <= 1 if name == "eps" else 0 <= value <= (1 if name in ("momentum", "p") else _MOST)


def _plain(value: Any) -> Any:
    """A model YAML, as Ultralytics holds it, without what JSON cannot store."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else None


def _detector(description: NetworkDescription, tensors: Mapping[str, Tensor]) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(dict(description.yaml), ch=description.channels, verbose=False)


BUILDERS: dict[str, Builder] = {DETECTOR: _detector}
"""By kind; the package that has another kind of network adds its builder."""
