"""The weights' slopes are those of the paper's L_grad."""

from __future__ import annotations

import math

import pytest
import torch

from mlops.training.balance.gradnorm import slopes, targets
from mlops.training.balance.measuring import task_gradients
from tests.training.balance.case import TASKS, TwoHeads, batches


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.3, 1.7), (1.9, 0.1)])
def test_the_slope_is_what_differentiating_the_norm_a_second_time_gives(
    alpha: float, weights: tuple[float, float]
) -> None:
    network = TwoHeads((1.0, 5.0))
    losses = network(batches(1)[0])
    shared = list(network.shared.parameters())
    rates = (1.3, 0.7)

    learned = torch.tensor(weights, requires_grad=True)
    norms = []
    for task, weight in zip(TASKS, learned, strict=True):
        found = torch.autograd.grad(weight * losses[task], shared, create_graph=True)
        norms.append(torch.cat([gradient.flatten() for gradient in found]).norm())
    stacked = torch.stack(norms)
    target = (stacked.mean() * torch.tensor(rates) ** alpha).detach()
    (literal,) = torch.autograd.grad((stacked - target).abs().sum(), learned)

    plain = task_gradients([losses[task] for task in TASKS], shared).norm(dim=1).tolist()
    assert slopes(weights, plain, rates, alpha) == pytest.approx(literal.tolist(), rel=1e-5)


def test_gradients_are_those_that_backward_leaves_and_touch_nothing() -> None:
    network = TwoHeads((1.0, 5.0))
    shared = list(network.shared.parameters())
    losses = network(batches(1)[0])
    rows = task_gradients([losses[task] for task in TASKS], shared)
    assert all(parameter.grad is None for parameter in network.parameters())
    for task, row in zip(TASKS, rows, strict=True):
        network.zero_grad()
        losses[task].backward(retain_graph=True)
        by_backward = torch.cat([parameter.grad.flatten() for parameter in shared])
        assert torch.allclose(row, by_backward)


def test_gradients_of_a_linear_layer_are_the_ones_worked_out_by_hand() -> None:
    weight = torch.tensor([[1.0, 2.0]], requires_grad=True)
    picture = torch.tensor([3.0, -1.0])
    output = weight @ picture  # 1
    rows = task_gradients([output.square().sum(), (4 * output).sum()], [weight])
    assert rows.tolist() == [[6.0, -2.0], [12.0, -4.0]]  # 2 * 1 * x, and 4 * x


def test_a_loss_that_does_not_reach_the_shared_layer_pulls_with_nothing() -> None:
    network = TwoHeads()
    shared = list(network.shared.parameters())
    alone = network.heads[0].weight.square().sum()
    constant = torch.tensor(3.0)
    assert task_gradients([alone, constant], shared).abs().sum() == 0


def test_a_frozen_shared_layer_gives_gradients_of_zero() -> None:
    network = TwoHeads()
    network.shared.requires_grad_(False)
    losses = network(batches(1)[0])
    rows = task_gradients([losses[task] for task in TASKS], list(network.shared.parameters()))
    assert rows.abs().sum() == 0


def test_targets_are_the_mean_norm_for_tasks_at_one_pace_and_more_for_a_laggard() -> None:
    assert targets((1.0, 3.0), (1.0, 1.0), 1.5) == [2.0, 2.0]
    assert targets((1.0, 3.0), (1.5, 0.5), 2.0) == [4.5, 0.5]
    assert targets((1.0, 3.0), (1.5, 0.5), 0.0) == [2.0, 2.0]


def test_a_norm_at_its_target_has_no_slope() -> None:
    assert slopes((1.0, 1.0), (2.0, 2.0), (1.0, 1.0), 1.5) == [0.0, 0.0]
    assert slopes((1.0, 1.0), (0.0, 4.0), (1.0, 1.0), 1.5)[0] == 0.0
    assert not any(map(math.isnan, slopes((1.0, 1.0), (0.0, 0.0), (1.0, 1.0), 1.5)))
