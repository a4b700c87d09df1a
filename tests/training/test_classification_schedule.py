"""Learning rates take the values of their formulas, step by step."""

from __future__ import annotations

from math import cos, pi

import pytest
import torch
from torch import nn

from mlops.training.classification.lightning_module import WARMUP_FROM, make_schedule
from tests.training.classification_case import tiny_recipe

LR = 0.02
TOTAL = 20


def rates(schedule: str, warmup: int = 0, total: int = TOTAL) -> list[float]:
    """The learning rate of each of `total` steps, and the one after them."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    moves = make_schedule(optimizer, tiny_recipe(schedule=schedule, lr=LR), total, warmup)
    taken = []
    for _ in range(total):
        taken.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        moves.step()
    return [*taken, optimizer.param_groups[0]["lr"]]


def test_constant_stays() -> None:
    assert rates("constant") == pytest.approx([LR] * (TOTAL + 1))


def test_cosine_falls_to_nothing_over_half_a_period() -> None:
    assert rates("cosine") == pytest.approx(
        [LR * (1 + cos(pi * step / TOTAL)) / 2 for step in range(TOTAL + 1)]
    )


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_rises_in_a_straight_line_and_hands_over_at_the_full_rate(schedule: str) -> None:
    taken = rates(schedule, warmup=5)
    assert taken[:5] == pytest.approx(
        [LR * (WARMUP_FROM + (1 - WARMUP_FROM) * step / 5) for step in range(5)]
    )
    assert taken[5] == pytest.approx(LR)
    if schedule == "cosine":
        left = TOTAL - 5
        assert taken[5:] == pytest.approx(
            [LR * (1 + cos(pi * step / left)) / 2 for step in range(left + 1)], abs=1e-12
        )
    else:
        assert taken[5:] == pytest.approx([LR] * 16)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_longer_than_the_training_only_rises(schedule: str) -> None:
    taken = rates(schedule, warmup=40)
    assert taken == sorted(taken)
    assert taken[-1] < LR


def test_onecycle_rises_for_three_tenths_and_falls_far_below_its_start() -> None:
    top = 0.3 * (TOTAL + 1) - 1
    low, end = LR / 25, LR / 25 / 1e4

    def between(start: float, stop: float, share: float) -> float:
        return stop + (start - stop) / 2 * (1 + cos(pi * share))

    expected = [
        between(low, LR, step / top) if step <= top else between(LR, end, (step - top) / (TOTAL - top))
        for step in range(TOTAL + 1)
    ]
    assert rates("onecycle") == pytest.approx(expected)
