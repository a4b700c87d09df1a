"""The balancing methods besides GradNorm: fixed weights, uncertainty, gradient surgery; and their base.

Learned numbers have an Adam optimizer of their own, on the CPU and in float64: they are a handful, and
every rank comes to the same ones bit by bit.

Uncertainty: Kendall, Gal and Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
Geometry and Semantics, CVPR 2018, section 3. With s_i = log of the variance, what is minimised is

    sum over tasks of  c_i * exp(-s_i) * L_i + s_i / 2,   c_i = 1/2 for a regression, 1 for a classification

so that w_i = c_i exp(-s_i), and the slope in s_i is 1/2 - w_i L_i: no gradient of the network is needed,
and the term s_i / 2, which moves no other parameter, is left out of the total.

Surgery: UPGrad (Quinton and Rey: Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232) and
PCGrad (Yu et al.: Gradient Surgery for Multi-Task Learning, NeurIPS 2020), by torchjd. Both yield a sum of
the tasks' gradients g_i with factors that follow from their inner products: sum_i w_i(J J^T) g_i, J's rows
being the g_i. torchjd gives those factors, and they are used as the weights of the losses; tasks that do
not conflict all get 1. The gradient on the parameters that J was taken on is then the method's own. Unlike
in the papers, a task's head too is moved by w_i times its gradient, as with every other method here.
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
    """What one optimizer step showed, or one micro-batch where a rule is instant; the same on every rank.

    losses: unweighted, finite, one a task.
    inverse_rates: r_i; None while the initial losses are not known, or where all losses are zero.
    gradients: shape (tasks, numbers in the shared parameters), unweighted and finite; None where this step
        was not measured.
    """

    losses: Sequence[float]
    inverse_rates: Sequence[float] | None
    gradients: Tensor | None


class BalanceMethod(Protocol):
    """From what was shown to the next weights. Holds them, and whatever it learns them with."""

    instant: bool  # learns from a micro-batch before its total is formed, not after the window

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


def renormalised(weights: Sequence[float], floor: float) -> list[float]:
    """`weights` scaled to add up to their number, as the paper does after each update, none below `floor`.

    Where scaling leaves one below `floor` (or it came in so, even negative), it is put there and the others
    share what remains, in their own proportions. `floor` is below 1, so there is always something to share.
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
        if len(low) == count:  # nothing above zero came in
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
    """The weights keep where the gradients are not finite or all zero."""

    instant = True

    def __init__(self, method: Literal["upgrad", "pcgrad"], tasks: int) -> None:
        """Raises BadSetting where torchjd, or for upgrad its solver, is not installed."""
        try:
            from torchjd.aggregation import PCGradWeighting, UPGradWeighting

            self._weighting = UPGradWeighting(torch.ones(tasks)) if method == "upgrad" else PCGradWeighting()
        except ImportError as error:
            other = "gradnorm, fixed, uncertainty; or this one after: pip install 'vision-mlops[surgery]'"
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
        with torch.random.fork_rng(devices=[]):  # PCGrad draws an order: the same on all ranks
            torch.default_generator.manual_seed(self._seen)
            self.weights = self._weighting(gramian / gramian.trace()).tolist()

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.weights, self._seen = list(state["weights"]), int(state["seen"])
