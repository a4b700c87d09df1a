"""TorchScript: the trained network traced, its preprocessing as an extra file inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from registry.export.contract import Precision, Session, Source, file_name
from registry.export.torch_source import torch_session, traced

_EXTRA = "preprocessing.json"


class TorchScriptFormat:
    """See `Format`. A detector's gives its raw head: NMS is the caller's, as the preprocessing says."""

    name = "torchscript"
    precisions = (Precision.FP32,)

    def make(self, source: Source, precision: Precision, folder: Path) -> Path:
        file = folder / file_name(precision, ".torchscript")
        script = traced(source)
        torch.jit.save(script, str(file), _extra_files={_EXTRA: json.dumps(dict(source.preprocessing))})  # type: ignore[no-untyped-call]
        return file

    def open(self, made: Path, *, score: float | None = None) -> Session:
        script = torch.jit.load(str(made), map_location="cpu")  # type: ignore[no-untyped-call]
        return torch_session(script.eval(), int(self.preprocessing_in(made)["side"]))

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        extra: dict[str, Any] = {_EXTRA: ""}
        torch.jit.load(str(made), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        said: Mapping[str, Any] = json.loads(extra[_EXTRA])
        return said
