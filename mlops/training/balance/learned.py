"""Numbers learned by an Adam optimizer of their own, from slopes that are known in closed form.

On the processor and in float64: they are a handful, and every rank comes to the same ones bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


class Learned:
    def __init__(self, values: Sequence[float], lr: float) -> None:
        self._parameter = torch.nn.Parameter(torch.tensor(list(values), dtype=torch.float64))
        self._adam = torch.optim.Adam([self._parameter], lr=lr)

    @property
    def values(self) -> list[float]:
        return [float(value) for value in self._parameter.detach()]

    def descend(self, slopes: Sequence[float]) -> list[float]:
        """One step against `slopes`, and where it led."""
        self._parameter.grad = torch.tensor(list(slopes), dtype=torch.float64)
        self._adam.step()
        return self.values

    def put(self, values: Sequence[float]) -> None:
        """Set the numbers; the optimizer's moments stay."""
        with torch.no_grad():
            self._parameter.copy_(torch.tensor(list(values), dtype=torch.float64))

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values, "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.put(state["values"])
        self._adam.load_state_dict(state["adam"])
