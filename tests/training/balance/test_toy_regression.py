"""The paper's toy regression: balanced by GradNorm, unbalanced with equal weights.

Smaller than the paper's (250 inputs, 100 outputs), so that a few hundred steps show it; see
benchmarks/gradnorm_toy.py for the paper's sizes.
"""

from __future__ import annotations

import statistics

import pytest

from benchmarks.gradnorm_toy import EQUAL, GRADNORM, Point, Sizes, learned
from mlops.training.balance import BalanceSettings


def course(settings: BalanceSettings, seed: int) -> list[Point]:
    return learned(settings, Sizes(), steps=500, points=5, seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_gradnorm_balances_tasks_of_different_variance_where_equal_weights_do_not(seed: int) -> None:
    equal, balanced = course(EQUAL, seed), course(GRADNORM, seed)

    assert equal[-1].norms[1] > 10 * equal[-1].norms[0]
    assert max(balanced[-1].norms) < 1.5 * min(balanced[-1].norms)
    assert balanced[-1].weights[0] > 10 * balanced[-1].weights[1]

    # the task of scale 100 suppresses the other: worse on the test than before any training
    assert min(point.losses[0] for point in equal) > 1
    assert min(point.losses[0] for point in balanced) < 1
    over_training = [statistics.mean(point.normalised for point in run) for run in (equal, balanced)]
    assert over_training[1] < 0.85 * over_training[0]
    assert balanced[-1].normalised < equal[-1].normalised
