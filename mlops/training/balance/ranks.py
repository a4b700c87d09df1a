"""The processes that train one network together."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def averaged(values: Tensor) -> Tensor:
    """The mean of `values` over all ranks; as it is where this process trains alone.

    A NaN or an infinity on one rank is one on all of them, so that all decide the same.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return values
    mean = values / dist.get_world_size()
    dist.all_reduce(mean)
    return mean
