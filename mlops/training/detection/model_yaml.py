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
    r"\((inplace=(True|False)|[0-9.]{0,8})?\)"
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
_MOST_PARAMETERS = 1_000_000_000


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
    for part in ("backbone", "head"):
        _layers(model.get(part), where, part)
    _size(model, where)
    return model


def _scales(model: Mapping[str, Any], where: str) -> None:
    for key in ("depth_multiple", "width_multiple"):
        _number(model.get(key, 1), 0, 64, where, key)
    scales = model.get("scales") or {}
    if not isinstance(scales, Mapping):
        raise BadSetting(where, "scales", scales, "a mapping of a letter to [depth, width, max_channels]")
    for name, values in scales.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 3:
            raise BadSetting(where, f"scales.{name}", values, "[depth, width, max_channels]")
        for value in values:
            _number(value, 0, _MOST_NUMBER, where, f"scales.{name}")


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


def _size(model: Mapping[str, Any], where: str) -> None:
    """Refuse a network whose parameters would fill the memory; counted without making one."""
    import torch
    from ultralytics.nn.tasks import parse_model

    channels = int(model.get("channels", model.get("ch", 3)))
    try:
        with torch.device("meta"):
            layers, _ = parse_model(deepcopy(dict(model)), ch=channels, verbose=False)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadSetting(where, "the model", reason, "layers that fit together") from error
    count = sum(parameter.numel() for parameter in layers.parameters())
    if count > _MOST_PARAMETERS:
        raise BadSetting(where, "the model", f"{count:,} parameters", f"at most {_MOST_PARAMETERS:,}")
