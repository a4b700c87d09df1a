"""The balancer: measures what its method needs, weights the losses, and reports metrics."""

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

    from mlops.training.balance.settings import BalanceSettings


class LossBalancer:
    """A `Balancer` for any rule; see `Balancer` for the methods.

    Gradients are measured in every `settings.every`-th optimizer step, over all of its micro-batches. If
    gradients are not finite but the losses are, a loss scaler has too high a scale: it skips the step, and
    the weights are unchanged. Without a scaler the step counts as bad.
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
            raise ValueError(f"expected losses of the tasks {sorted(self.tasks)}, got {sorted(losses)}")
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
        """Each task's gradient on `shared`, in the steps that are due. It is computed scaled, as small values
        vanish in half precision, and returned unscaled."""
        if not self._settings.every or self._steps % self._settings.every:
            return None
        self._scaled = scaler is not None and scaler.is_enabled()
        if scaler is None or not self._scaled:
            return task_gradients(losses, shared)
        return task_gradients([scaler.scale(loss) for loss in losses], shared) / scaler.get_scale()

    def step(self) -> bool:
        if not self._window.micro_batches:
            raise ValueError(
                "step() was called before total(); call it once per optimizer step, after total()"
            )
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
            raise Diverged(f"{what} was NaN or infinite in {self._bad} consecutive steps; try a lower lr0")

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
                raise ValueError(f"the state has {key} {state[key]!r}; expected {mine!r}")
        self._steps, self._bad = int(state["steps"]), int(state["bad"])
        self._start.load_state_dict(state["start"])
        self._rule.load_state_dict(state["rule"])
        self._window, self._figures = Window(), BalanceMetrics(self.tasks)


class Balancer(Protocol):
    """Weights the losses of `tasks`, in that order, at every step."""

    tasks: tuple[str, ...]

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights that the next `total` applies; always finite and above 0."""
        ...

    def total(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor], scaler: GradScaler | None = None
    ) -> Tensor:
        """The weighted sum of one micro-batch's losses, a float32 scalar with its graph, to backpropagate.

        losses: a scalar for each of `tasks`, unscaled and unweighted; means over images, so that a smaller
            last batch has the same weight.
        shared: parameters of the last shared layer, for gradient norms; for gradient surgery all shared
            parameters, for an exact result. Used only if gradients are measured.
        scaler: the loss scaler with AMP, if any: the caller scales the total with it, and the gradients
            measured here are scaled and unscaled with it.

        Raises ValueError if the losses' names are not the tasks.
        """
        ...

    def step(self) -> bool:
        """Call once per optimizer step, after its last backward and before the optimizer's step, on every
        rank.

        Learns new weights from the step's micro-batches, averaged over them and over ranks.
        Returns False if a loss was NaN or infinite on any rank: discard the gradients, and call neither the
        optimizer's nor the scaler's step. The weights are then unchanged.
        Raises Diverged after `BalanceSettings.patience` consecutive steps of this kind.
        """
        ...

    def end_epoch(self) -> dict[str, float]:
        """The metrics since the last call; they start anew afterwards. For every task:

        `train/<task>_loss`           mean of the loss, unweighted
        `balance/weight/<task>`       mean of the weight applied
        `balance/share/<task>`        its part of the weighted sum; the shares add up to 1
        `balance/inverse_rate/<task>` mean of the relative inverse training rate r_i; 1 for equal rates
        `balance/grad_norm/<task>`    mean of the weighted gradient's norm G_i on the shared layer

        The last two are missing if nothing was measured. All are over the steps of all ranks.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """The state for a resumed training, in plain values and tensors. Call it between epochs."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`. Raises ValueError for the state of another method or other tasks."""
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
    """Sums over one epoch's optimizer steps, which all have the same weight."""

    tasks: tuple[str, ...]
    _means: dict[str, _Mean] = field(default_factory=dict)

    def add(self, names: str, values: Sequence[float] | None) -> None:
        """Add one step's values, one per task; `names` has a `{}` for the task."""
        if values is not None:
            for task, value in zip(self.tasks, values, strict=True):
                self._means.setdefault(names.format(task), _Mean()).add(value)

    def taken(self) -> dict[str, float]:
        """The means, with shares instead of the weighted losses."""
        means = {name: mean.total / mean.count for name, mean in self._means.items()}
        return _with_shares(means, self.tasks)


LOSS = "train/{}_loss"
WEIGHT = "balance/weight/{}"
SHARE = "balance/share/{}"
INVERSE_RATE = "balance/inverse_rate/{}"
GRADIENT_NORM = "balance/grad_norm/{}"


def _with_shares(means: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """Each task's part of the weighted sum; equal parts if the sum is zero."""
    parts = [means.get(SHARE.format(task), 0.0) for task in tasks]
    whole = sum(parts)
    shares = {
        SHARE.format(task): part / whole if whole else 1 / len(tasks)
        for task, part in zip(tasks, parts, strict=True)
    }
    return {**means, **shares} if means else {}


def balancer_for(settings: BalanceSettings, tasks: Sequence[str]) -> Balancer:
    """The balancer of the losses of `tasks` (one or more). Raises BadSetting, also if torchjd is required but
    not installed.
    """
    if not tasks or len(set(tasks)) < len(tasks):
        raise BadSetting("balance", "tasks", list(tasks), "one or more unique names")
    named = {*settings.weights, *settings.initial, *settings.regression}
    for task in sorted(named - set(tasks)):
        raise BadSetting("balance", "task", task, ", ".join(tasks))

    return LossBalancer(tuple(tasks), settings, rule_for(settings, tuple(tasks)))


def rule_for(settings: BalanceSettings, tasks: Sequence[str]) -> BalanceMethod:
    """Raises BadSetting if a library that the method needs is not installed."""
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
