"""Measurements of one optimizer step: losses over micro-batches and ranks, rates, each task's gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    pass


class Window:
    """Means over the micro-batches of one step. They are exact if every loss is a mean over the same number
    of
    images: the mean of the gradients is then the gradient of one large batch.
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
        """Means of losses, weights and weighted losses over micro-batches and ranks. Synchronises the
        device.
        """
        assert self._sums is not None
        losses, weights, weighted = averaged(self._sums / self.micro_batches).tolist()
        return losses, weights, weighted

    def gradients(self) -> Tensor | None:
        """The mean gradients over micro-batches and ranks; None if not measured."""
        return None if self._gradients is None else averaged(self._gradients / self.micro_batches)


def averaged(values: Tensor) -> Tensor:
    """The mean of `values` over all ranks; unchanged without distributed training.

    A NaN or infinity on one rank is returned on all ranks, so that all decide the same.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return values
    mean = values / dist.get_world_size()
    dist.all_reduce(mean)
    return mean


class TrainingRates:
    """The initial losses L_i(0): given, or the mean of the first `steps` losses above zero.

    A loss of zero, as for a first batch without objects, is not a valid initial loss.
    """

    def __init__(self, tasks: Sequence[str], known: Mapping[str, float], steps: int) -> None:
        self._steps = steps
        self._sums = [known.get(task, 0.0) * steps for task in tasks]
        self._counts = [steps if task in known else 0 for task in tasks]

    def see(self, losses: Sequence[float]) -> None:
        """One optimizer step's losses, finite."""
        for task, loss in enumerate(losses):
            if self._counts[task] < self._steps and loss > 0:
                self._sums[task] += loss
                self._counts[task] += 1

    def inverse_rates(self, losses: Sequence[float]) -> tuple[float, ...] | None:
        """r_i = (L_i / L_i(0)) / mean over tasks of the same: above 1 for a task that trains more slowly.

        None while an initial loss is unknown, and if every loss is zero. Source: Chen et al., section 3.1.
        """
        if min(self._counts) < self._steps:
            return None
        left = [loss * self._steps / total for loss, total in zip(losses, self._sums, strict=True)]
        mean = math.fsum(left) / len(left)
        return tuple(value / mean for value in left) if mean > 0 else None

    def state_dict(self) -> dict[str, object]:
        return {"steps": self._steps, "sums": list(self._sums), "counts": list(self._counts)}

    def load_state_dict(self, state: Mapping[str, list[float]]) -> None:
        self._sums = [float(value) for value in state["sums"]]
        self._counts = [int(value) for value in state["counts"]]


def task_gradients(losses: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
    """d loss_i / d shared as rows of a float32 matrix, shape (tasks, numbers in `shared`).

    One backward pass per task, from its loss to `shared` only; the graph is kept. A row is zero if a loss
    does not depend on `shared` or has no graph.
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
