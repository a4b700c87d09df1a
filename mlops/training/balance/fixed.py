"""Weights that never change: the peer that every other method is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlops.training.balance.rule import Shown


class Fixed:
    instant = False

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = tuple(weights)

    def learn(self, shown: Shown) -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.weights = tuple(state["weights"])
