"""The export formats by name; each is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import cast

from mlops.errors import BadSetting
from mlops.files.typed_yaml import did_you_mean
from registry.export.formats.contract import Format, Precision

# name -> (module, class)
_FORMATS = {
    "onnx": ("registry.export.formats.onnx", "OnnxFormat"),
    "torchscript": ("registry.export.formats.torchscript", "TorchScriptFormat"),
    "openvino": ("registry.export.formats.openvino", "OpenVinoFormat"),
    "coreml": ("registry.export.formats.coreml", "CoreMlFormat"),
    "tensorrt": ("registry.export.formats.tensorrt", "TensorRtFormat"),
}
FORMATS = tuple(_FORMATS)


def format_named(name: str) -> Format:
    module, kind = _FORMATS[name]
    return cast(Format, getattr(importlib.import_module(module), kind)())


def formats_asked(text: str) -> tuple[str, ...]:
    """Parse `"onnx, openvino"`; duplicates are dropped. Raises BadSetting for an unknown format."""
    return _asked(text, "--format", FORMATS)


def precisions_asked(text: str) -> tuple[Precision, ...]:
    """Parse `"fp32,int8"`; duplicates are dropped. Raises BadSetting for an unknown precision."""
    return tuple(Precision(name) for name in _asked(text, "--precision", [each.value for each in Precision]))


def _asked(text: str, option: str, allowed: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in allowed:
            raise BadSetting("export", option, name, f"{', '.join(allowed)}{did_you_mean(name, allowed)}")
    if not names:
        raise BadSetting("export", option, text, ", ".join(allowed))
    return names
