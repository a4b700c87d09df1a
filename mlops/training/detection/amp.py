"""The check that mixed precision works on a GPU, without the weights that the library fetches for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from ultralytics.engine import trainer as library


@contextmanager
def checked_here() -> Iterator[None]:
    """While open, the library asks `works` where it would have compared results of a fetched YOLO26n."""
    theirs = library.check_amp
    library.check_amp = works
    try:
        yield
    finally:
        library.check_amp = theirs


def works(model: Any) -> bool:
    """True when `model` gives finite predictions in mixed precision on its GPU; False on CPU and MPS.

    GPUs that cannot (GTX 16xx and their like) give NaN.
    """
    device = next(model.parameters()).device
    if device.type != "cuda":
        return False
    was_training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast("cuda"):
        predictions = model(torch.full((1, 3, 256, 256), 0.5, device=device))[0]
    model.train(was_training)
    return bool(torch.isfinite(predictions).all())
