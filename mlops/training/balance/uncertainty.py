"""Weights by each task's own noise, learned as a log variance.

Kendall, Gal and Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics, CVPR 2018, section 3. With s_i = log of the variance, what is minimised is

    sum over tasks of  c_i * exp(-s_i) * L_i + s_i / 2,   c_i = 1/2 for a regression, 1 for a classification

so that w_i = c_i exp(-s_i), and the slope in s_i is 1/2 - w_i L_i: no gradient of the network is needed, and
the term s_i / 2, which moves no other parameter, is left out of the total.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlops.training.balance.learned import Learned
from mlops.training.balance.rule import Shown


class Uncertainty:
    """The weights keep, all of them, in a step in which a loss is zero or below: it has no variance to
    learn.
    """

    instant = False

    def __init__(self, weights: Sequence[float], factors: Sequence[float], lr: float, floor: float) -> None:
        """weights: exp(-s_i) to start from. factors: c_i."""
        self._factors, self._most = tuple(factors), -math.log(floor)
        self._learned = Learned([-math.log(weight) for weight in weights], lr)

    @property
    def weights(self) -> list[float]:
        return [factor * math.exp(-s) for factor, s in zip(self._factors, self._learned.values, strict=True)]

    def learn(self, shown: Shown) -> None:
        if min(shown.losses) <= 0:
            return
        found = self._learned.descend(
            [0.5 - weight * loss for weight, loss in zip(self.weights, shown.losses, strict=True)]
        )
        self._learned.put([min(max(s, -self._most), self._most) for s in found])

    def state_dict(self) -> dict[str, Any]:
        return self._learned.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._learned.load_state_dict(state)
