"""A rule by its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops.training.balance.fixed import Fixed
from mlops.training.balance.gradnorm import GradNorm
from mlops.training.balance.surgery import Surgery
from mlops.training.balance.uncertainty import Uncertainty

if TYPE_CHECKING:
    from mlops.training.balance.rule import Rule
    from mlops.training.balance.settings import BalanceSettings


def rule_for(settings: BalanceSettings, tasks: Sequence[str]) -> Rule:
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
