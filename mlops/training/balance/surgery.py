"""Gradient surgery: gradients that conflict are projected before they are added up. By torchjd.

UPGrad (Quinton and Rey: Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232) and PCGrad (Yu
et al.: Gradient Surgery for Multi-Task Learning, NeurIPS 2020). Both yield a sum of the tasks' gradients g_i
with factors that follow from their inner products: sum_i w_i(J J^T) g_i, J's rows being the g_i. torchjd
gives those factors, and they are used as the weights of the losses; tasks that do not conflict all get 1. The
gradient on the parameters that J was taken on is then the method's own. Unlike in the papers, a task's head
too is moved by w_i times its gradient, as with every other method here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from mlops.errors import BadSetting
from mlops.training.balance.rule import Shown


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

    def learn(self, shown: Shown) -> None:
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
