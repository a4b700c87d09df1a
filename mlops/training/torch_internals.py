"""The private name of torch that we use: its own reader of a checkpoint's zip.

The pickle in a checkpoint is checked as torch will read it. Another zip reader may find another entry of the
same name, and torch gives no public way to its own reader.
"""

from __future__ import annotations

from pathlib import Path


def pickle_in(checkpoint: Path) -> bytes | None:
    """The pickle that `torch.load` reads from `checkpoint`; None for a file that is not such a zip."""
    import torch

    try:
        return bytes(torch._C.PyTorchFileReader(str(checkpoint)).get_record("data.pkl"))
    except RuntimeError:
        return None
