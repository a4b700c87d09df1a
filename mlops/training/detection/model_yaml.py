"""Check the description of an Ultralytics network before anything is built from it.

Ultralytics evaluates parts of a model YAML as Python, looks modules up by name and allocates what the numbers
say. So a description, of a user's YAML or out of a checkpoint, is checked first: known keys, modules and
activations by list, numbers within bounds, and the size of the whole network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from mlops.errors import BadSetting

_ACTIVATION = re.compile(
    r"(torch\.)?nn\.(SiLU|ReLU|ReLU6|LeakyReLU|GELU|Mish|Hardswish|ELU|Identity|Sigmoid|Tanh|PReLU)"
    r"\((inplace=(True|False)|[01]?(\.\d{1,6})?)?\)"
)
_TORCH_LAYERS = {
    "Upsample",
    "ConvTranspose2d",
    "Conv2d",
    "Identity",
    "MaxPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "ZeroPad2d",
}
_NOT_BUILT = {"TorchVision", "Index"}  # they fetch a network by its name, and cut one up
_TEXTS = {"nc", "nearest", "bilinear", "True", "False", "None", "reg_max"}
_KEYS = {"nc", "activation", "scales", "scale", "end2end", "reg_max", "depth_multiple", "width_multiple"}
_KEYS |= {"backbone", "head", "ch", "channels", "yaml_file", "task", "kpt_shape", "stride", "anchors"}
_MOST_LAYERS, _MOST_REPEATS, _MOST_NUMBER, _MOST_CLASSES = 500, 100, 65_536, 100_000
_MOST_PARAMETERS, _MOST_OUTPUTS = 1_000_000_000, 300_000_000  # YOLO26x has 59 and 20 million
_MOST_SCALE, _MOST_CHANNELS, _MOST_MODULES, _SIDE = 4, 256, 1000, 256


def checked_model(described: object, where: str) -> dict[str, Any]:
    """`described`, the content of a model YAML, once it is known to be harmless; a copy.

    Raises BadSetting, which names `where`, the key and what is allowed.
    """
    if not isinstance(described, Mapping):
        raise BadSetting(where, "the model", described, "a mapping with backbone and head")
    model = {str(key): deepcopy(value) for key, value in described.items()}
    for key, value in model.items():
        if key not in _KEYS and not _is_plain(value):
            raise BadSetting(where, key, value, f"one of {', '.join(sorted(_KEYS))}")
    activation = model.get("activation")
    if activation is not None and not (isinstance(activation, str) and _ACTIVATION.fullmatch(activation)):
        raise BadSetting(
            where, "activation", activation, "one of torch's, e.g. nn.SiLU() or nn.LeakyReLU(0.1)"
        )
    _number(model.get("nc", 1), 1, _MOST_CLASSES, where, "nc")
    _number(model.get("reg_max", 1), 1, 256, where, "reg_max")
    _scales(model, where)
    channels = model.get("channels", model.get("ch", 3))
    _number(channels, 1, _MOST_CHANNELS, where, "channels")
    for part in ("backbone", "head"):
        _layers(model.get(part), where, part)
    _depth(model, where)
    _size(model, int(channels), where)
    return model


def _scales(model: Mapping[str, Any], where: str) -> None:
    for key in ("depth_multiple", "width_multiple"):
        _number(model.get(key, 1), 0, _MOST_SCALE, where, key)
    scales = model.get("scales") or {}
    if not isinstance(scales, Mapping):
        raise BadSetting(where, "scales", scales, "a mapping of a letter to [depth, width, max_channels]")
    for name, values in scales.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 3:
            raise BadSetting(where, f"scales.{name}", values, "[depth, width, max_channels]")
        for value, most in zip(values, (_MOST_SCALE, _MOST_SCALE, _MOST_NUMBER), strict=True):
            _number(value, 0, most, where, f"scales.{name}")


def _layers(rows: object, where: str, part: str) -> None:
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) > _MOST_LAYERS:
        raise BadSetting(where, part, rows, f"a list of at most {_MOST_LAYERS} layers")
    for index, row in enumerate(rows):
        key = f"{part}[{index}]"
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != 4:
            raise BadSetting(where, key, row, "[from, repeats, module, arguments]")
        inputs, repeats, module, arguments = row
        for each in inputs if isinstance(inputs, Sequence) else [inputs]:
            _number(each, -_MOST_LAYERS, _MOST_LAYERS, where, key)
        _number(repeats, 0, _MOST_REPEATS, where, key)
        if not isinstance(module, str) or module not in _modules():
            raise BadSetting(where, key, module, "a module of Ultralytics, e.g. Conv, C3k2 or Detect")
        _arguments(arguments, where, key)


def _arguments(given: object, where: str, key: str) -> None:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > 64:
        raise BadSetting(where, key, given, "a list of arguments")
    for value in given:
        if isinstance(value, Sequence) and not isinstance(value, str):
            _arguments(value, where, key)
        elif isinstance(value, str):
            if value not in _TEXTS and not _ACTIVATION.fullmatch(value):
                raise BadSetting(where, key, value, f"a number, or one of {', '.join(sorted(_TEXTS))}")
        elif value is not None:
            _number(value, -_MOST_NUMBER, _MOST_NUMBER, where, key)


def _number(value: object, low: float, high: float, where: str, key: str) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise BadSetting(where, key, value, f"a number from {low} to {high}")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, int | float | str)


def _modules() -> set[str]:
    import ultralytics.nn.modules as library

    return (set(library.__all__) - _NOT_BUILT) | {f"nn.{name}" for name in _TORCH_LAYERS}


def _depth(model: Mapping[str, Any], where: str) -> None:
    """Refuse a network that would take minutes to build."""
    scales = model.get("scales") or {}
    depth = max([float(model.get("depth_multiple", 1)), *(float(values[0]) for values in scales.values())])
    rows = [*model["backbone"], *model["head"]]
    count = sum(max(round(row[1] * depth), 1) for row in rows)
    if not model["backbone"] or not model["head"] or count > _MOST_MODULES:
        raise BadSetting(
            where, "the model", f"{count:,} modules", f"a backbone and a head of at most {_MOST_MODULES:,}"
        )


def _size(model: Mapping[str, Any], channels: int, where: str) -> None:
    """Refuse a network whose parameters, or outputs for an image of `_SIDE` pixels, would fill the memory.

    Both are counted on torch's meta device, which allocates nothing.
    """
    import torch
    from ultralytics.nn.modules import Detect
    from ultralytics.nn.tasks import parse_model

    try:
        with torch.device("meta"):
            layers, _ = parse_model(deepcopy(dict(model)), ch=channels, verbose=False)
            count = sum(parameter.numel() for parameter in layers.parameters())
            outputs = _outputs(layers.eval(), channels) if count <= _MOST_PARAMETERS else 0
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadSetting(where, "the model", reason, "layers that fit together") from error
    if count > _MOST_PARAMETERS:
        raise BadSetting(where, "the model", f"{count:,} parameters", f"at most {_MOST_PARAMETERS:,}")
    if outputs > _MOST_OUTPUTS:
        raise BadSetting(where, "the model", f"{outputs:,} outputs", f"at most {_MOST_OUTPUTS:,}")
    if not isinstance(layers[-1], Detect):
        raise BadSetting(where, "the last layer", type(layers[-1]).__name__, "Detect")


def _outputs(layers: Any, channels: int) -> int:
    """The number of values that the layers before the head give for one image; stops above the limit."""
    import torch

    x: Any = torch.empty(1, channels, _SIDE, _SIDE)
    kept: list[Any] = []
    total = 0
    with torch.no_grad():
        for layer in layers[:-1]:
            if layer.f != -1:
                x = (
                    kept[layer.f]
                    if isinstance(layer.f, int)
                    else [x if j == -1 else kept[j] for j in layer.f]
                )
            x = layer(x)
            kept.append(x)
            total += sum(each.numel() for each in (x if isinstance(x, list | tuple) else [x]))
            if total > _MOST_OUTPUTS:
                break
    return total
