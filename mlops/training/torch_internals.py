"""The private names of torch that we use, in one place.

The pickle in a checkpoint is checked as torch will read it: another zip reader may find another entry of the
same name, and torch gives no public way to its own reader. A checkpoint that is read as data has its tensors
made by the functions that `torch.save` names, and torch gives these no public name. Nor has what a compiler
does with code that it cannot compile.
pyproject.toml bounds the version; a test names the attribute that an upgrade breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_BUILDERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter")


def run_uncompilable_code_as_it_is() -> None:
    """Let torch.compile fall back to the function as it was, for all that is compiled from now on."""
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True


def pickle_in(checkpoint: Path) -> bytes | None:
    """The pickle that `torch.load` reads from `checkpoint`; None if the file is not such a zip."""
    import torch

    try:
        return bytes(torch._C.PyTorchFileReader(str(checkpoint)).get_record("data.pkl"))
    except RuntimeError:
        return None


def tensor_builders() -> dict[str, Callable[..., Any]]:
    """What a checkpoint calls in `torch._utils` to make its tensors and parameters, by name."""
    import torch

    return {name: getattr(torch._utils, name) for name in _BUILDERS}
