"""Settings of the loss balance, checked on creation without any library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlops.errors import BadSetting

Method = Literal["gradnorm", "fixed", "uncertainty", "upgrad", "pcgrad"]
METHODS: tuple[Method, ...] = ("gradnorm", "fixed", "uncertainty", "upgrad", "pcgrad")


@dataclass(frozen=True, slots=True)
class BalanceSettings:
    """Settings of one method. A method ignores settings that it does not use.

    method: gradnorm (Chen et al., ICML 2018), fixed, uncertainty (Kendall, Gal and Cipolla, CVPR 2018), and
        gradient surgery by torchjd: upgrad (Quinton and Rey, 2024) or pcgrad (Yu et al., NeurIPS 2020).
    weights: a task's initial weight, constant for fixed; 1 by default.
        GradNorm scales them to add up to the number of tasks.
    alpha: strength of GradNorm's force towards equal training rates; 0: equal gradient norms.
    lr: learning rate of the Adam optimizer of the weights (gradnorm, uncertainty).
    logarithmic: GradNorm learns log w instead of the paper's w. Steps are then relative, as needed for
        weights of different orders of magnitude.
    floor: smallest weight for GradNorm; with uncertainty, weights stay between floor and 1/floor.
    every: optimizer steps between measurements of gradients. gradnorm, upgrad, pcgrad: at least 1.
        fixed, uncertainty: only for metrics; 0 measures none and has no cost.
    initial: a task's initial loss L_i(0), if theory gives a better value than the first batch:
        log(classes) for cross-entropy, as in the paper.
    initial_steps: for the other tasks, L_i(0) is the mean of this many first losses above 0.
    regression: tasks that uncertainty weighting treats as regressions: their loss counts half.
    patience: consecutive steps with a NaN or infinite loss before training counts as diverged.
    """

    method: Method = "gradnorm"
    weights: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 1.5
    lr: float = 0.025
    logarithmic: bool = False
    floor: float = 1e-4
    every: int = 1
    initial: Mapping[str, float] = field(default_factory=dict)
    initial_steps: int = 1
    regression: frozenset[str] = frozenset()
    patience: int = 10

    def __post_init__(self) -> None:
        least = 0 if self.method in ("fixed", "uncertainty") else 1
        _demand(self.method in METHODS, "method", self.method, ", ".join(METHODS))
        _demand(math.isfinite(self.alpha) and self.alpha >= 0, "alpha", self.alpha, "0 or more")
        _demand(math.isfinite(self.lr) and self.lr > 0, "lr", self.lr, "above 0")
        _demand(0 < self.floor < 1, "floor", self.floor, "between 0 and 1")
        _demand(self.every >= least, "every", self.every, f"{least} or more")
        _demand(self.initial_steps >= 1, "initial_steps", self.initial_steps, "1 or more")
        _demand(self.patience >= 1, "patience", self.patience, "1 or more")
        for key in ("weights", "initial"):
            for task, value in getattr(self, key).items():
                _demand(math.isfinite(value) and value > 0, f"{key}.{task}", value, "above 0")


def _demand(holds: bool, key: str, given: object, allowed: str) -> None:
    if not holds:
        raise BadSetting("balance", key, given, allowed)
