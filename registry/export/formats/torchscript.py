"""TorchScript: the traced network, with its preprocessing as an extra file inside."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.export.formats.contract import Original, Precision, Session, file_name
from registry.export.formats.torch_source import network_of, torch_session

if TYPE_CHECKING:
    import torch

_EXTRA = "preprocessing.json"


class TorchScriptFormat:
    """See `Format`. A detector outputs its raw head; the caller applies NMS."""

    name = "torchscript"
    precisions = (Precision.FP32,)

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        file = folder / file_name(precision, ".torchscript")
        network = network_of(source)
        import torch

        said, held = json.dumps(dict(source.preprocessing)), io.BytesIO()
        with _undeprecated():
            torch.jit.save(_traced(network, source.side), held, _extra_files={_EXTRA: said})
        file.write_bytes(held.getbuffer())  # torch.jit.save to a path aborts the process if the disk is full
        return file

    def open(self, made: Path, *, score: float | None = None) -> Session:
        import torch

        with _undeprecated():
            script = torch.jit.load(str(made), map_location="cpu")  # type: ignore[no-untyped-call]
        return torch_session(script.eval(), int(self.preprocessing_in(made)["side"]))

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        import torch

        extra: dict[str, Any] = {_EXTRA: ""}
        with _undeprecated():
            torch.jit.load(str(made), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        said: Mapping[str, Any] = json.loads(extra[_EXTRA])
        return said


def _traced(network: torch.nn.Module, side: int) -> torch.jit.ScriptModule:
    import torch

    example = torch.full((1, 3, side, side), 0.5)
    with torch.no_grad():
        script: torch.jit.ScriptModule = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    return script


@contextlib.contextmanager
def _undeprecated() -> Iterator[None]:
    """Hides torch's deprecation and tracer warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
