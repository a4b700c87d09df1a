"""GradNorm: loss weights that adapt each task's gradient on the shared layers to its training rate.

Chen, Badrinarayanan, Lee and Rabinovich: GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
Multitask Networks, ICML 2018, arXiv 1711.02257, algorithm 1.

    G_i     = || d(w_i L_i) / dW ||     the weighted gradient's norm on the last shared layer W
    G_mean  = mean over tasks of G_i
    r_i     = (L_i / L_i(0)) / mean over tasks of the same, the relative inverse training rate
    L_grad  = sum over tasks of | G_i - G_mean * r_i ^ alpha |, the target G_mean * r_i ^ alpha held constant

and one step of a separate optimizer along -dL_grad / dw_i, after which the weights are scaled to add up to
the number of tasks.

This gradient needs no second backward pass through the network. Only L_i depends on W, so a weight above zero
can be taken out of the norm:

    G_i = || w_i dL_i/dW || = w_i || dL_i/dW ||,   hence   dG_i/dw_i = || dL_i/dW ||,

and with the target constant, dL_grad/dw_i = sign(G_i - target_i) * || dL_i/dW ||, which one plain backward
pass per task from its loss to W yields. (If log w_i is learned, the chain rule gives sign(G_i - target_i) *
G_i.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mlops.training.balance.methods import Learned, StepMeasurements, renormalised

if TYPE_CHECKING:
    from mlops.training.balance.settings import BalanceSettings


def targets(norms: Sequence[float], inverse_rates: Sequence[float], alpha: float) -> list[float]:
    """The target of each weighted gradient norm: G_mean * r_i ^ alpha."""
    mean = math.fsum(norms) / len(norms)
    return [mean * rate**alpha for rate in inverse_rates]


def slopes(
    weights: Sequence[float], plain_norms: Sequence[float], inverse_rates: Sequence[float], alpha: float
) -> list[float]:
    """dL_grad / dw_i, from the unweighted norms || dL_i/dW ||; 0 if a norm is at its target."""
    norms = [weight * norm for weight, norm in zip(weights, plain_norms, strict=True)]
    wanted = targets(norms, inverse_rates, alpha)
    return [
        math.copysign(plain, norm - target) if norm != target else 0.0
        for plain, norm, target in zip(plain_norms, norms, wanted, strict=True)
    ]


class GradNorm:
    """The weights are unchanged after a step with a loss of zero, unknown initial losses, or gradients that
    were not measured, not finite or all zero."""

    instant = False

    def __init__(self, weights: Sequence[float], settings: BalanceSettings) -> None:
        self._alpha, self._floor, self._logarithmic = settings.alpha, settings.floor, settings.logarithmic
        self.weights = renormalised(weights, self._floor)
        self._learned = Learned(self._as_learned(), settings.lr)

    def learn(self, shown: StepMeasurements) -> None:
        if shown.inverse_rates is None or shown.gradients is None or min(shown.losses) <= 0:
            return
        plain = torch.linalg.vector_norm(shown.gradients, dim=1).tolist()
        if not all(map(math.isfinite, plain)) or max(plain) <= 0:
            return
        downhill = slopes(self.weights, plain, shown.inverse_rates, self._alpha)
        if self._logarithmic:
            downhill = [weight * slope for weight, slope in zip(self.weights, downhill, strict=True)]
        found = self._learned.descend(downhill)
        if self._logarithmic:
            highest = max(found)  # a constant offset is removed by the scaling
            found = [math.exp(value - highest) for value in found]
        self.weights = renormalised(found, self._floor)
        self._learned.put(self._as_learned())

    def _as_learned(self) -> list[float]:
        return [math.log(weight) for weight in self.weights] if self._logarithmic else self.weights

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "learned": self._learned.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.weights = list(state["weights"])
        self._learned.load_state_dict(state["learned"])
