"""First layers kept as they are for some epochs, then released.

The library freezes at the start (`freeze`) and never releases. Its optimizer holds every parameter, frozen
or not, and skips those without a gradient, so a released layer trains on from the next step, at the rate of
that epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

ALWAYS_FROZEN = ".dfl"  # a fixed integral over bins, not a layer that learns


def due(epochs_done: int, freeze_layers: int, freeze_epochs: int) -> bool:
    """True when layers that were frozen must train from now on; `freeze_epochs` 0 means never."""
    return freeze_layers > 0 and 0 < freeze_epochs <= epochs_done


def release(loop: Any) -> None:
    """Let every layer of an Ultralytics trainer learn, batch-norm statistics included."""
    loop.freeze_layer_names = [name for name in loop.freeze_layer_names if name == ALWAYS_FROZEN]
    for name, parameter in _parameters(loop.model):
        if ALWAYS_FROZEN not in name and parameter.dtype.is_floating_point:
            parameter.requires_grad = True


def _parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())
