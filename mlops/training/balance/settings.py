"""How losses are to be balanced. Checked when made; no library is needed for that."""

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
    """One way to balance. What a method does not use it leaves alone.

    method: gradnorm (Chen et al., ICML 2018), fixed, uncertainty (Kendall, Gal and Cipolla, CVPR 2018), and
        gradient surgery by torchjd: upgrad (Quinton and Rey, 2024) or pcgrad (Yu et al., NeurIPS 2020).
    weights: a task's weight at the start, and for good when fixed; 1 where none is named.
        GradNorm scales them to add up to the number of tasks.
    alpha: GradNorm's pull to equal training rates; 0 asks for equal gradient norms.
    lr: rate of the Adam optimizer that learns the weights (gradnorm, uncertainty).
    logarithmic: GradNorm learns log w instead of the paper's w: steps are then relative, as is needed where
        weights end up orders of magnitude apart.
    floor: least weight that GradNorm may give; uncertainty keeps within floor and 1/floor.
    every: optimizer steps from one measurement of gradients to the next. gradnorm, upgrad, pcgrad: at least
        1. fixed, uncertainty: only for the figures; 0 measures none and costs nothing.
    initial: a task's loss at the start, L_i(0), where theory knows it better than the first batch:
        log(classes) for cross-entropy, as the paper has it.
    initial_steps: for the other tasks, L_i(0) is the mean of the loss over so many first steps above 0.
    regression: tasks that uncertainty weighting takes for regressions: their loss counts half.
    patience: steps with a NaN or infinite loss in a row before training is called diverged.
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
