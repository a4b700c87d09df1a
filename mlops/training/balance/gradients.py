"""Each task's gradient on the shared parameters, without touching any `.grad`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def task_gradients(losses: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
    """d loss_i / d shared as rows of a float32 matrix, shape (tasks, numbers in `shared`).

    One backward pass a task, from its loss down to `shared` and no further; the losses' graph is kept. A row
    is zero where a loss does not depend on `shared`, or has no graph at all.
    """
    learnt = [parameter for parameter in shared if parameter.requires_grad]
    if not learnt:
        return torch.zeros(len(losses), 1, device=losses[0].device)
    return torch.stack([_row(loss, learnt) for loss in losses])


def _row(loss: Tensor, learnt: Sequence[Tensor]) -> Tensor:
    if not loss.requires_grad:
        return torch.zeros(sum(parameter.numel() for parameter in learnt), device=learnt[0].device)
    found = torch.autograd.grad(loss, learnt, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(parameter, dtype=torch.float32).flatten()
            if gradient is None
            else gradient.float().flatten()
            for parameter, gradient in zip(learnt, found, strict=True)
        ]
    )
