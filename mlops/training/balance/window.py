"""What the micro-batches of one optimizer step showed, added up on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlops.training.balance.ranks import averaged

if TYPE_CHECKING:
    from torch import Tensor


class Window:
    """Means over micro-batches are exact for losses that are means over as many pictures each: the mean of
    their gradients is then the gradient of one batch of them all.
    """

    def __init__(self) -> None:
        self.micro_batches = 0
        self._sums: Tensor | None = None
        self._gradients: Tensor | None = None

    def add(self, losses: Tensor, weights: Tensor, gradients: Tensor | None) -> None:
        """losses, weights: shape (tasks,), detached. gradients: shape (tasks, numbers), unscaled, or None."""
        seen = torch.stack([losses, weights, losses * weights])
        self._sums = seen if self._sums is None else self._sums + seen
        if gradients is not None:
            self._gradients = gradients if self._gradients is None else self._gradients + gradients
        self.micro_batches += 1

    def means(self) -> tuple[list[float], list[float], list[float]]:
        """Losses, weights and weighted losses, a mean each over micro-batches and ranks. Waits for the
        device.
        """
        assert self._sums is not None
        losses, weights, weighted = averaged(self._sums / self.micro_batches).tolist()
        return losses, weights, weighted

    def gradients(self) -> Tensor | None:
        """The mean gradients over micro-batches and ranks; None where they were not measured."""
        return None if self._gradients is None else averaged(self._gradients / self.micro_batches)
