"""Fixed weights, uncertainty weighting and gradient surgery."""

from __future__ import annotations

import sys

import pytest
import torch

from mlops.errors import BadSetting
from mlops.training.balance import BalanceSettings, balancer_for
from tests.training.balance.case import TASKS, TwoHeads, batches, trained


def test_fixed_weights_are_applied_as_given_and_never_change() -> None:
    settings = BalanceSettings(method="fixed", weights={"class": 0.2}, every=0)
    losses = TwoHeads()(batches(1)[0])
    total = balancer_for(settings, TASKS).total(losses, [])
    assert total.item() == pytest.approx((losses["box"] + 0.2 * losses["class"]).item())
    balancer = trained(settings, batches(9), scales=(1, 50))
    assert balancer.weights == {"box": 1.0, "class": 0.2}
    assert not any(name.startswith("balance/grad_norm") for name in balancer.end_epoch())


def test_shares_are_of_the_weighted_sum_and_losses_are_unweighted() -> None:
    settings = BalanceSettings(method="fixed", weights={"class": 3.0}, every=0)
    balancer = balancer_for(settings, TASKS)
    for box, clas in ((1.0, 1.0), (2.0, 4.0)):
        balancer.total({"box": torch.tensor(box), "class": torch.tensor(clas)}, [])
        assert balancer.step()
    assert balancer.end_epoch() == {
        "train/box_loss": 1.5,
        "train/class_loss": 2.5,
        "balance/weight/box": 1.0,
        "balance/weight/class": 3.0,
        "balance/share/box": pytest.approx(1.5 / 9),
        "balance/share/class": pytest.approx(7.5 / 9),
        "balance/inverse_rate/box": pytest.approx((1 + 2 / 3) / 2),
        "balance/inverse_rate/class": pytest.approx((1 + 4 / 3) / 2),
    }
    assert balancer.end_epoch() == {}


def test_uncertainty_finds_the_weight_that_minimises_its_likelihood() -> None:
    settings = BalanceSettings(method="uncertainty", lr=0.05, regression=frozenset({"box"}))
    balancer = balancer_for(settings, TASKS)
    for _ in range(600):
        balancer.total({"box": torch.tensor(4.0), "class": torch.tensor(0.1)}, [])
        balancer.step()
    # d/ds (c exp(-s) L + s/2) = 0 where c exp(-s) = 1 / (2 L), whatever c is
    assert balancer.weights["box"] == pytest.approx(1 / 8, rel=1e-3)
    assert balancer.weights["class"] == pytest.approx(5.0, rel=1e-3)


def test_uncertainty_steps_as_autograd_on_the_papers_loss_does() -> None:
    settings = BalanceSettings(method="uncertainty", lr=0.1, regression=frozenset({"box"}))
    balancer = balancer_for(settings, TASKS)
    log_variance = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([log_variance], lr=0.1)
    factors = torch.tensor([0.5, 1.0])
    for box, clas in ((3.0, 0.4), (2.0, 0.5), (1.5, 0.1)):
        balancer.total({"box": torch.tensor(box), "class": torch.tensor(clas)}, [])
        balancer.step()
        adam.zero_grad()
        likelihood = factors * torch.exp(-log_variance) * torch.tensor([box, clas]) + log_variance / 2
        likelihood.sum().backward()
        adam.step()
    expected = (factors * torch.exp(-log_variance)).tolist()
    assert list(balancer.weights.values()) == pytest.approx(expected, rel=1e-6)


def test_uncertainty_stays_in_bounds_where_a_loss_vanishes() -> None:
    balancer = balancer_for(BalanceSettings(method="uncertainty", lr=5.0, floor=0.01), TASKS)
    for _ in range(20):
        balancer.total({"box": torch.tensor(1e-30), "class": torch.tensor(1e30)}, [])
        balancer.step()
    assert balancer.weights == {"box": pytest.approx(100.0), "class": pytest.approx(0.01)}


@pytest.mark.parametrize("method", ["upgrad", "pcgrad"])
@pytest.mark.parametrize("tasks", [2, 4])
def test_surgery_gives_the_gradient_of_its_own_library(method: str, tasks: int) -> None:
    from torchjd.aggregation import PCGrad, UPGrad

    torch.manual_seed(3)
    rows = torch.randn(tasks, 6)
    names = [f"task{number}" for number in range(tasks)]
    shared = torch.zeros(6, requires_grad=True)
    balancer = balancer_for(BalanceSettings(method=method), names)
    losses = {name: row @ shared + 1 for name, row in zip(names, rows, strict=True)}
    balancer.total(losses, [shared]).backward()
    aggregator = UPGrad(torch.ones(tasks)) if method == "upgrad" else PCGrad()
    if tasks == 2 or method == "upgrad":  # with more, PCGrad goes through them in an order it draws
        assert torch.allclose(shared.grad, aggregator(rows), rtol=1e-3, atol=1e-3)
    if method == "upgrad":
        assert min((rows @ shared.grad).tolist()) > -1e-3  # no task is made worse


@pytest.mark.parametrize("method", ["upgrad", "pcgrad"])
def test_surgery_leaves_alone_what_does_not_conflict_and_no_one_elses_chance(method: str) -> None:
    shared = torch.zeros(2, requires_grad=True)
    balancer = balancer_for(BalanceSettings(method=method), TASKS)
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    balancer.total({"box": shared.sum() + 1, "class": 3 * shared[0] + 1}, [shared])
    assert torch.rand(1) == expected
    assert list(balancer.weights.values()) == pytest.approx([1.0, 1.0])


def test_without_its_library_surgery_is_refused_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(BadSetting, match=r"pip install 'vision-mlops\[surgery\]'"):
        balancer_for(BalanceSettings(method="upgrad"), TASKS)
