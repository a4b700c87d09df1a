"""The balancer: measures what its rule asks for, weighs, and keeps the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mlops.errors import Diverged
from mlops.training.balance import figures as named
from mlops.training.balance.figures import Figures
from mlops.training.balance.gradients import task_gradients
from mlops.training.balance.ranks import averaged
from mlops.training.balance.rule import Rule, Shown
from mlops.training.balance.start import Start
from mlops.training.balance.window import Window

if TYPE_CHECKING:
    from torch import Tensor
    from torch.amp import GradScaler

    from mlops.training.balance.settings import BalanceSettings


class LossBalancer:
    """A `Balancer` for any rule; see `protocol` for what each method promises.

    Gradients are measured in every `settings.every`-th optimizer step, over all of its micro-batches.
    Gradients that are not finite though the losses are: under a loss scaler they mean a scale that is too
    high, the scaler skips the step itself, and the weights keep; without one the step counts as bad.
    """

    def __init__(self, tasks: tuple[str, ...], settings: BalanceSettings, rule: Rule) -> None:
        self.tasks = tasks
        self._settings, self._rule = settings, rule
        self._start = Start(tasks, settings.initial, settings.initial_steps)
        self._steps = self._bad = 0
        self._window, self._figures = Window(), Figures(tasks)
        self._scaled = False

    @property
    def weights(self) -> Mapping[str, float]:
        return dict(zip(self.tasks, self._rule.weights, strict=True))

    def total(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor], scaler: GradScaler | None = None
    ) -> Tensor:
        if losses.keys() != set(self.tasks):
            raise ValueError(f"losses are of {sorted(losses)}, the tasks are {sorted(self.tasks)}")
        each = [losses[task] for task in self.tasks]
        with torch.autocast(each[0].device.type, enabled=False):
            values = torch.stack([loss.float().reshape(()) for loss in each])
            gradients = self._measured(each, shared, scaler)
            if self._rule.instant and gradients is not None:
                self._rule.learn(Shown((), None, averaged(gradients)))
            weights = torch.tensor(list(self._rule.weights), dtype=torch.float32, device=values.device)
            self._window.add(values.detach(), weights, gradients)
            return (values * weights).sum()

    def _measured(
        self, losses: Sequence[Tensor], shared: Sequence[Tensor], scaler: GradScaler | None
    ) -> Tensor | None:
        """Each task's gradient on `shared`, in the steps that are due; taken scaled, as small ones vanish in
        half precision, and given unscaled."""
        if not self._settings.every or self._steps % self._settings.every:
            return None
        self._scaled = scaler is not None and scaler.is_enabled()
        if scaler is None or not self._scaled:
            return task_gradients(losses, shared)
        return task_gradients([scaler.scale(loss) for loss in losses], shared) / scaler.get_scale()

    def step(self) -> bool:
        if not self._window.micro_batches:
            raise ValueError("step() is called after total(), once for all totals of an optimizer step")
        window, self._window = self._window, Window()
        losses, weights, weighted = window.means()
        gradients = window.gradients()
        norms = None if gradients is None else torch.linalg.vector_norm(gradients, dim=1).tolist()
        measured = norms is not None and all(map(math.isfinite, norms))
        overflown = norms is not None and not measured and not self._scaled
        if overflown or not all(map(math.isfinite, losses)):
            self._count_bad(losses)
            return False
        self._bad = 0
        self._steps += 1
        self._start.see(losses)
        rates = self._start.inverse_rates(losses)
        self._figures.add(named.LOSS, losses)
        self._figures.add(named.WEIGHT, weights)
        self._figures.add(named.SHARE, weighted)
        self._figures.add(named.INVERSE_RATE, rates)
        if measured:
            self._figures.add(named.GRADIENT_NORM, [w * n for w, n in zip(weights, norms or (), strict=True)])
        if not self._rule.instant:
            self._rule.learn(Shown(losses, rates, gradients if measured else None))
        return True

    def _count_bad(self, losses: Sequence[float]) -> None:
        self._bad += 1
        if self._bad >= self._settings.patience:
            bad = [task for task, loss in zip(self.tasks, losses, strict=True) if not math.isfinite(loss)]
            what = f"the loss of {', '.join(bad)}" if bad else "a gradient on the shared layer"
            raise Diverged(f"{what} was NaN or infinite in {self._bad} steps in a row; a lower lr0 may help")

    def end_epoch(self) -> dict[str, float]:
        taken, self._figures = self._figures.taken(), Figures(self.tasks)
        return taken

    def state_dict(self) -> dict[str, Any]:
        return {
            "method": self._settings.method,
            "tasks": list(self.tasks),
            "steps": self._steps,
            "bad": self._bad,
            "start": self._start.state_dict(),
            "rule": self._rule.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for key, mine in (("method", self._settings.method), ("tasks", list(self.tasks))):
            if state[key] != mine:
                raise ValueError(f"the state is of {key} {state[key]!r}, this balancer of {mine!r}")
        self._steps, self._bad = int(state["steps"]), int(state["bad"])
        self._start.load_state_dict(state["start"])
        self._rule.load_state_dict(state["rule"])
        self._window, self._figures = Window(), Figures(self.tasks)
