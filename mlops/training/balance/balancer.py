"""The balancer: measures what its method needs, weighs the losses, and reports metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from mlops.errors import BadSetting, Diverged
from mlops.training.balance.gradnorm import GradNorm
from mlops.training.balance.measuring import TrainingRates, Window, averaged, task_gradients
from mlops.training.balance.methods import BalanceMethod, Fixed, StepMeasurements, Surgery, Uncertainty

if TYPE_CHECKING:
    from torch import Tensor
    from torch.amp import GradScaler

    from mlops.training.balance.methods import BalanceMethod
    from mlops.training.balance.settings import BalanceSettings


class LossBalancer:
    """A `Balancer` for any rule; see `protocol` for what each method promises.

    Gradients are measured in every `settings.every`-th optimizer step, over all of its micro-batches.
    Gradients that are not finite though the losses are: under a loss scaler they mean a scale that is too
    high, the scaler skips the step itself, and the weights keep; without one the step counts as bad.
    """

    def __init__(self, tasks: tuple[str, ...], settings: BalanceSettings, rule: BalanceMethod) -> None:
        self.tasks = tasks
        self._settings, self._rule = settings, rule
        self._start = TrainingRates(tasks, settings.initial, settings.initial_steps)
        self._steps = self._bad = 0
        self._window, self._figures = Window(), BalanceMetrics(tasks)
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
                self._rule.learn(StepMeasurements((), None, averaged(gradients)))
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
        self._figures.add(LOSS, losses)
        self._figures.add(WEIGHT, weights)
        self._figures.add(SHARE, weighted)
        self._figures.add(INVERSE_RATE, rates)
        if measured:
            self._figures.add(GRADIENT_NORM, [w * n for w, n in zip(weights, norms or (), strict=True)])
        if not self._rule.instant:
            self._rule.learn(StepMeasurements(losses, rates, gradients if measured else None))
        return True

    def _count_bad(self, losses: Sequence[float]) -> None:
        self._bad += 1
        if self._bad >= self._settings.patience:
            bad = [task for task, loss in zip(self.tasks, losses, strict=True) if not math.isfinite(loss)]
            what = f"the loss of {', '.join(bad)}" if bad else "a gradient on the shared layer"
            raise Diverged(f"{what} was NaN or infinite in {self._bad} steps in a row; a lower lr0 may help")

    def end_epoch(self) -> dict[str, float]:
        taken, self._figures = self._figures.taken(), BalanceMetrics(self.tasks)
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
        self._window, self._figures = Window(), BalanceMetrics(self.tasks)


class Balancer(Protocol):
    """Weighs the losses of `tasks`, in that order, anew at every step."""

    tasks: tuple[str, ...]

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights that the next `total` applies. Finite and above 0, always."""
        ...

    def total(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor], scaler: GradScaler | None = None
    ) -> Tensor:
        """The weighted sum of one micro-batch's losses, a float32 scalar with its graph, to go backward from.

        losses: a scalar for each of `tasks`, unscaled and unweighted; means over images, so that a smaller
            last batch weighs no less.
        shared: parameters of the last shared layer, on which gradient norms are measured; for gradient
            surgery all shared parameters, which it needs to be exact. Looked at only where a method measures.
        scaler: the loss scaler under AMP, where there is one: the caller scales the total with it, and the
            gradients measured here are scaled and unscaled with it too.

        Raises ValueError where the losses' names are not the tasks.
        """
        ...

    def step(self) -> bool:
        """Once an optimizer step, after its last backward and before the optimizer's own step, on every rank.

        Learns new weights from what the window's micro-batches showed, averaged over them and over ranks.
        False: a loss of the window was NaN or infinite, on any rank; throw the gradients away and make
        neither the optimizer's nor the scaler's step. The weights are then kept.
        Raises Diverged after `BalanceSettings.patience` such steps in a row.
        """
        ...

    def end_epoch(self) -> dict[str, float]:
        """The figures since the last call, and a fresh start for the next ones. For every task:

        `train/<task>_loss`           mean of the loss, unweighted
        `balance/weight/<task>`       mean of the weight applied
        `balance/share/<task>`        its part of the weighted sum; the shares add up to 1
        `balance/inverse_rate/<task>` mean of the relative inverse training rate r_i, 1 for tasks at one pace
        `balance/grad_norm/<task>`    mean of the weighted gradient's norm G_i on the shared layer

        The last two are left out where nothing was measured. All are over the steps of all ranks.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs, in plain values and tensors. Taken between epochs."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`. Raises ValueError for the state of another method or other tasks."""
        ...


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1


@dataclass(slots=True)
class BalanceMetrics:
    """Sums over one epoch's optimizer steps; every step weighs the same."""

    tasks: tuple[str, ...]
    _means: dict[str, _Mean] = field(default_factory=dict)

    def add(self, names: str, values: Sequence[float] | None) -> None:
        """One step's values, one a task; `names` holds a `{}` for the task."""
        if values is not None:
            for task, value in zip(self.tasks, values, strict=True):
                self._means.setdefault(names.format(task), _Mean()).add(value)

    def taken(self) -> dict[str, float]:
        """The means, with shares in place of the weighted losses."""
        means = {name: mean.total / mean.count for name, mean in self._means.items()}
        return _with_shares(means, self.tasks)


LOSS = "train/{}_loss"
WEIGHT = "balance/weight/{}"
SHARE = "balance/share/{}"
INVERSE_RATE = "balance/inverse_rate/{}"
GRADIENT_NORM = "balance/grad_norm/{}"


def _with_shares(means: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """Each task's part of the weighted sum; equal parts of a sum of zero."""
    parts = [means.get(SHARE.format(task), 0.0) for task in tasks]
    whole = sum(parts)
    shares = {
        SHARE.format(task): part / whole if whole else 1 / len(tasks)
        for task, part in zip(tasks, parts, strict=True)
    }
    return {**means, **shares} if means else {}


def balancer_for(settings: BalanceSettings, tasks: Sequence[str]) -> Balancer:
    """Balances the losses of `tasks`, one or more. Raises BadSetting; for surgery also where torchjd is not
    installed.
    """
    if not tasks or len(set(tasks)) < len(tasks):
        raise BadSetting("balance", "tasks", list(tasks), "one name or more, each once")
    named = {*settings.weights, *settings.initial, *settings.regression}
    for task in sorted(named - set(tasks)):
        raise BadSetting("balance", "task", task, ", ".join(tasks))

    return LossBalancer(tuple(tasks), settings, rule_for(settings, tuple(tasks)))


def rule_for(settings: BalanceSettings, tasks: Sequence[str]) -> BalanceMethod:
    """Raises BadSetting where a library that the method needs is not installed."""
    weights = [settings.weights.get(task, 1.0) for task in tasks]
    match settings.method:
        case "gradnorm":
            return GradNorm(weights, settings)
        case "fixed":
            return Fixed(weights)
        case "uncertainty":
            factors = [0.5 if task in settings.regression else 1.0 for task in tasks]
            return Uncertainty(weights, factors, settings.lr, settings.floor)
        case "upgrad" | "pcgrad":
            return Surgery(settings.method, len(tasks))
