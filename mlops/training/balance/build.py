"""A balancer by its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops.errors import BadSetting

if TYPE_CHECKING:
    from mlops.training.balance.protocol import Balancer
    from mlops.training.balance.settings import BalanceSettings


def balancer_for(settings: BalanceSettings, tasks: Sequence[str]) -> Balancer:
    """Balances the losses of `tasks`, one or more. Raises BadSetting; for surgery also where torchjd is not
    installed.
    """
    if not tasks or len(set(tasks)) < len(tasks):
        raise BadSetting("balance", "tasks", list(tasks), "one name or more, each once")
    named = {*settings.weights, *settings.initial, *settings.regression}
    for task in sorted(named - set(tasks)):
        raise BadSetting("balance", "task", task, ", ".join(tasks))
    from mlops.training.balance.balancer import LossBalancer
    from mlops.training.balance.rules import rule_for

    return LossBalancer(tuple(tasks), settings, rule_for(settings, tuple(tasks)))
