"""The private name of torch that we use: its reader of a checkpoint's zip.

The pickle in a checkpoint is checked exactly as torch reads it. Another zip reader may find another entry of
the same name, and torch has no public way to use its reader.
"""

from __future__ import annotations

from pathlib import Path


def pickle_in(checkpoint: Path) -> bytes | None:
    """The pickle that `torch.load` reads from `checkpoint`; None if the file is not such a zip."""
    import torch

    try:
        return bytes(torch._C.PyTorchFileReader(str(checkpoint)).get_record("data.pkl"))
    except RuntimeError:
        return None
