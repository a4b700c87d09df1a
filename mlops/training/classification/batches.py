"""Batches of one epoch: whole, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LIVES_ON_GPU = 0.4  # of the GPU's free memory: more than this stays in the machine's


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures (N, 3, H, W) uint8 (channels last in memory) and labels (N,) int64, on one device."""

    pictures: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def near(self, device: torch.device) -> Split:
        """Itself on `device` where that has the room for it; else where it is."""
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        if self.pictures.nbytes > _LIVES_ON_GPU * free:
            return self
        return Split(self.pictures.to(device), self.labels.to(device))


def split_of(pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    """A split over an array (N, H, W, 3) that may be a mapped file; no picture is copied."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return Split(torch.from_numpy(pictures).permute(0, 3, 1, 2), torch.from_numpy(labels))


@dataclass(frozen=True, slots=True)
class TrainBatches:
    """What one epoch draws from the training split; the last batch is left out unless it is whole.

    epoch: gives the number of the epoch that is about to be drawn.
    """

    split: Split
    batch: int
    sampler: Literal["shuffle", "balanced"]
    seed: int
    epoch: Callable[[], int]

    def __len__(self) -> int:
        return max(len(self.split) // self.batch, 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self.order(self.epoch())
        for start in range(0, len(self) * self.batch, self.batch):
            chosen = order[start : start + self.batch]
            yield self.split.pictures[chosen], self.split.labels[chosen]

    def order(self, epoch: int) -> Tensor:
        """Indices (N,) of the pictures in the order in which `epoch` sees them."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        if self.sampler == "shuffle":
            order = torch.randperm(len(self.split), generator=generator)
        else:
            labels = self.split.labels.cpu()
            weights = 1.0 / torch.bincount(labels).clamp(min=1)[labels].double()
            order = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
        return order.to(self.split.pictures.device)


@dataclass(frozen=True, slots=True)
class EvalBatches:
    """Every picture once, in order."""

    split: Split
    batch: int

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.split), self.batch):
            end = start + self.batch
            yield self.split.pictures[start:end], self.split.labels[start:end]


def epoch_seed(seed: int, epoch: int) -> int:
    """One number for each epoch of each training, so that an epoch done again is the same epoch."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
