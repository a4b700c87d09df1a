"""The balancing methods other than GradNorm (fixed weights, uncertainty, gradient surgery) and their base.

Learned weights have a separate Adam optimizer on the CPU in float64, so that every rank gets identical
values.

Uncertainty: Kendall, Gal and Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
Geometry and Semantics, CVPR 2018, section 3. With s_i = log of the variance, the minimised value is

    sum over tasks of  c_i * exp(-s_i) * L_i + s_i / 2,   c_i = 1/2 for a regression, 1 for a classification

so that w_i = c_i exp(-s_i), and the derivative by s_i is 1/2 - w_i L_i: no gradient of the network is needed.
The term s_i / 2, which affects no other parameter, is not part of the total.

Surgery: UPGrad (Quinton and Rey: Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232) and
PCGrad (Yu et al.: Gradient Surgery for Multi-Task Learning, NeurIPS 2020), by torchjd. Both yield a sum of
the tasks' gradients g_i with factors that depend on their inner products: sum_i w_i(J J^T) g_i, where the g_i
are the rows of J. torchjd computes these factors, which are used as loss weights; tasks without conflict all
get 1. The gradient on the parameters of J is then that of the method. Unlike in the papers, a task's head is
also updated with w_i times its gradient, as with all other methods here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from mlops.errors import BadSetting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class StepMeasurements:
    """Measurements of one optimizer step, or of one micro-batch for an instant rule; equal on every rank.

    losses: unweighted, finite, one per task.
    inverse_rates: r_i; None while the initial losses are unknown, or if all losses are zero.
    gradients: shape (tasks, size of the shared parameters), unweighted and finite; None if not measured.
    """

    losses: Sequence[float]
    inverse_rates: Sequence[float] | None
    gradients: Tensor | None


class BalanceMethod(Protocol):
    """Computes the next weights from measurements; keeps the weights and the state of learning."""

    instant: bool  # learns from a micro-batch before its total, not after the optimizer step

    @property
    def weights(self) -> Sequence[float]: ...

    def learn(self, shown: StepMeasurements) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Learned:
    def __init__(self, values: Sequence[float], lr: float) -> None:
        self._parameter = torch.nn.Parameter(torch.tensor(list(values), dtype=torch.float64))
        self._adam = torch.optim.Adam([self._parameter], lr=lr)

    @property
    def values(self) -> list[float]:
        return [float(value) for value in self._parameter.detach()]

    def descend(self, slopes: Sequence[float]) -> list[float]:
        """One step against `slopes`; returns the new values."""
        self._parameter.grad = torch.tensor(list(slopes), dtype=torch.float64)
        self._adam.step()
        return self.values

    def put(self, values: Sequence[float]) -> None:
        """Set the values; the optimizer's moments are unchanged."""
        with torch.no_grad():
            self._parameter.copy_(torch.tensor(list(values), dtype=torch.float64))

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values, "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.put(state["values"])
        self._adam.load_state_dict(state["adam"])


def renormalised(weights: Sequence[float], floor: float) -> list[float]:
    """`weights` scaled to add up to their number, as in the paper after each update, none below `floor`.

    A weight that is below `floor` after scaling, even a negative one, is set to `floor`, and the others share
    the rest in their proportions. `floor` is below 1, so there is always a rest.
    """
    count = len(weights)
    low: set[int] = set()
    while True:
        rest = sum(weight for task, weight in enumerate(weights) if task not in low)
        scale = (count - floor * len(low)) / rest if rest > 0 else 0.0
        below = {task for task in range(count) if task not in low and weights[task] * scale < floor}
        if not below:
            return [floor if task in low else weight * scale for task, weight in enumerate(weights)]
        low |= below
        if len(low) == count:  # no weight above zero
            return [1.0] * count


class Fixed:
    instant = False

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = tuple(weights)

    def learn(self, shown: StepMeasurements) -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.weights = tuple(state["weights"])


class Uncertainty:
    """All weights are unchanged after a step with a loss of zero or below, as it has no variance to learn."""

    instant = False

    def __init__(self, weights: Sequence[float], factors: Sequence[float], lr: float, floor: float) -> None:
        """weights: initial exp(-s_i). factors: c_i."""
        self._factors, self._most = tuple(factors), -math.log(floor)
        self._learned = Learned([-math.log(weight) for weight in weights], lr)

    @property
    def weights(self) -> list[float]:
        return [factor * math.exp(-s) for factor, s in zip(self._factors, self._learned.values, strict=True)]

    def learn(self, shown: StepMeasurements) -> None:
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


class Surgery:
    """The weights are unchanged if the gradients are not finite or all zero."""

    instant = True

    def __init__(self, method: Literal["upgrad", "pcgrad"], tasks: int) -> None:
        """Raises BadSetting if torchjd, or for upgrad its solver, is not installed."""
        try:
            from torchjd.aggregation import PCGradWeighting, UPGradWeighting

            self._weighting = UPGradWeighting(torch.ones(tasks)) if method == "upgrad" else PCGradWeighting()
        except ImportError as error:
            other = f"gradnorm, fixed, uncertainty; {method} needs: pip install 'vision-mlops[surgery]'"
            raise BadSetting("balance", "method", method, other) from error
        self.weights = [1.0] * tasks
        self._seen = 0

    def learn(self, shown: StepMeasurements) -> None:
        if shown.gradients is None:
            return
        gramian = (shown.gradients @ shown.gradients.T).cpu().double()
        if not torch.isfinite(gramian).all() or float(gramian.trace()) <= 0:
            return
        self._seen += 1
        with torch.random.fork_rng(devices=[]):  # PCGrad's random order must be equal on all ranks
            torch.default_generator.manual_seed(self._seen)
            self.weights = self._weighting(gramian / gramian.trace()).tolist()

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.weights, self._seen = list(state["weights"]), int(state["seen"])
