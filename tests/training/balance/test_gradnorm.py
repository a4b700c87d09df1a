"""What GradNorm promises of its weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mlops.errors import BadSetting, Diverged
from mlops.training.balance import BalanceSettings, balancer_for
from mlops.training.balance.measuring import TrainingRates
from mlops.training.balance.methods import renormalised
from tests.training.balance.case import TASKS, TwoHeads, batches, trained

EQUAL_NORMS = BalanceSettings(alpha=0.0, lr=0.02)


def norm_ratio(settings: BalanceSettings, scales: tuple[float, float]) -> float:
    """Larger over smaller weighted gradient norm, over the last of 300 steps."""
    network = TwoHeads(scales)
    balancer = trained(settings, batches(250), network=network)
    balancer.end_epoch()
    trained(settings, batches(50), network=network, balancer=balancer)
    figures = balancer.end_epoch()
    norms = [figures[f"balance/grad_norm/{task}"] for task in TASKS]
    return max(norms) / min(norms)


def test_two_tasks_of_very_different_scale_end_up_pulling_alike() -> None:
    fixed = norm_ratio(BalanceSettings(method="fixed", every=1), (1.0, 7.0))
    assert fixed > 10
    assert norm_ratio(EQUAL_NORMS, (1.0, 7.0)) < 1.5


def test_in_logarithms_scales_that_differ_a_thousandfold_are_balanced_too() -> None:
    settings = BalanceSettings(alpha=0.0, lr=0.1, logarithmic=True, floor=1e-9)
    assert norm_ratio(settings, (0.03, 1.0)) < 1.5


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 1000.0), (1e-4, 1.0)])
@pytest.mark.parametrize("lr", [0.025, 3.0])
def test_weights_stay_above_zero_and_add_up_to_the_number_of_tasks(
    logarithmic: bool, scales: tuple[float, float], lr: float
) -> None:
    settings = BalanceSettings(lr=lr, logarithmic=logarithmic)
    network, balancer = TwoHeads(scales), balancer_for(settings, TASKS)
    network.requires_grad_(True)
    for batch in batches(60):
        balancer.total(network(batch), list(network.shared.parameters()))
        balancer.step()
        weights = list(balancer.weights.values())
        assert sum(weights) == pytest.approx(2)
        assert min(weights) >= settings.floor


@pytest.mark.parametrize(
    "weights", [[1.0, 1.0], [-3.0, 1.0], [1e-12, 1.0, 1.0], [0.0, 0.0], [-1.0, -2.0], [5.0], [1e-5, 9.0]]
)
def test_renormalising_mends_any_weights(weights: list[float]) -> None:
    found = renormalised(weights, 0.01)
    assert sum(found) == pytest.approx(len(weights))
    assert min(found) >= 0.01


def test_renormalising_keeps_proportions_where_none_is_too_small() -> None:
    assert renormalised([1.0, 3.0], 1e-4) == [0.5, 1.5]
    assert renormalised([0.0, 1.0, 2.0], 0.3) == pytest.approx([0.3, 0.9, 1.8])


def test_the_task_that_lags_behind_gets_more_than_with_no_pull() -> None:
    def weight_of_the_slow(alpha: float) -> float:
        settings = BalanceSettings(alpha=alpha, lr=0.01, initial={"box": 1.0, "class": 100.0})
        return trained(settings, batches(80)).weights["box"]

    assert weight_of_the_slow(1.5) > weight_of_the_slow(0.0) + 0.2


def test_the_initial_loss_may_be_given_by_theory_or_be_the_mean_of_the_first_steps() -> None:
    start = TrainingRates(("box", "class"), {"class": math.log(4)}, 2)
    start.see((4.0, 9.0))
    assert start.inverse_rates((1.0, 1.0)) is None
    start.see((0.0, 9.0))  # no boxes in it
    assert start.inverse_rates((1.0, 1.0)) is None
    start.see((2.0, 9.0))
    rates = start.inverse_rates((3.0, math.log(4) / 2))
    assert rates == pytest.approx((1 / 0.75, 0.5 / 0.75))
    start.see((100.0, 100.0))
    assert start.inverse_rates((3.0, math.log(4) / 2)) == rates


def test_until_the_initial_losses_are_known_the_weights_keep() -> None:
    settings = BalanceSettings(initial_steps=5)
    assert trained(settings, batches(4), scales=(1, 9)).weights == {"box": 1.0, "class": 1.0}
    assert trained(settings, batches(5), scales=(1, 9)).weights != {"box": 1.0, "class": 1.0}


def test_between_measurements_the_weights_keep() -> None:
    settings = BalanceSettings(every=4)
    first = trained(settings, batches(1), scales=(1, 9)).weights
    assert first != {"box": 1.0, "class": 1.0}
    assert trained(settings, batches(4), scales=(1, 9)).weights == first
    assert trained(settings, batches(5), scales=(1, 9)).weights != first


def test_one_task_alone_keeps_a_weight_of_one() -> None:
    balancer = balancer_for(BalanceSettings(), ("box",))
    network = TwoHeads()
    for batch in batches(3):
        balancer.total({"box": network(batch)["box"]}, list(network.shared.parameters()))
        assert balancer.step()
    assert balancer.weights == {"box": 1.0}
    assert balancer.end_epoch()["balance/share/box"] == 1.0


def test_many_tasks_are_balanced_as_two_are() -> None:
    torch.manual_seed(0)
    tasks = tuple(f"task{number}" for number in range(5))
    shared = torch.nn.Linear(6, 8)
    balancer = balancer_for(BalanceSettings(alpha=0.0, lr=0.005), tasks)
    for number, batch in enumerate(batches(500)):
        outputs = shared(batch)
        losses = {task: (1 + 2 * at) * outputs[:, at].square().mean() for at, task in enumerate(tasks)}
        balancer.total(losses, [shared.weight])
        assert balancer.step()
        if number == 300:
            first = balancer.end_epoch()
    last = balancer.end_epoch()
    before, after = ([figures[f"balance/grad_norm/{task}"] for task in tasks] for figures in (first, last))
    assert max(before) > 1.3 * min(before)
    assert max(after) < 1.3 * min(after)
    assert sum(balancer.weights.values()) == pytest.approx(5)


# bad steps


def zeroed(step: int, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**losses, "box": losses["box"] * 0}


@pytest.mark.parametrize("method", ["gradnorm", "fixed", "uncertainty", "upgrad", "pcgrad"])
def test_a_loss_of_zero_leaves_the_weights_alone(method: str) -> None:
    balancer = trained(BalanceSettings(method=method), batches(5), change=zeroed)
    assert balancer.weights == {"box": 1.0, "class": 1.0}
    figures = balancer.end_epoch()
    assert figures["balance/share/box"] == 0.0
    assert all(map(math.isfinite, figures.values()))


@pytest.mark.parametrize("method", ["gradnorm", "fixed", "uncertainty", "upgrad", "pcgrad"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused_and_nothing_is_learned_from_it(method: str, bad: float) -> None:
    def spoilt(step: int, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**losses, "class": losses["class"] * bad} if step == 3 else losses

    settings = BalanceSettings(method=method)
    network = TwoHeads()
    balancer = trained(settings, batches(3), network=network)
    before = dict(balancer.weights)
    balancer.total(spoilt(3, network(batches(4)[3])), list(network.shared.parameters()))
    assert balancer.step() is False
    assert balancer.weights == before
    trained(settings, batches(8), network=network, balancer=balancer)
    assert all(map(math.isfinite, [*balancer.weights.values(), *balancer.end_epoch().values()]))


def test_losses_that_stay_nan_end_training_with_the_tasks_name() -> None:
    def spoilt(step: int, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**losses, "class": losses["class"] * math.nan} if step != 2 else losses

    with pytest.raises(Diverged, match="the loss of class was NaN or infinite in 4 consecutive steps"):
        trained(BalanceSettings(patience=4), batches(8), change=spoilt)
    trained(BalanceSettings(patience=4), batches(6), change=spoilt)  # two, one well, three


def test_an_infinite_gradient_of_a_finite_loss_is_refused_too() -> None:
    shared = torch.zeros(1, requires_grad=True)
    balancer = balancer_for(BalanceSettings(), TASKS)
    balancer.total({"box": shared.abs().sqrt().sum() + 1, "class": (shared + 2).sum()}, [shared])
    assert balancer.step() is False
    assert balancer.weights == {"box": 1.0, "class": 1.0}


def test_a_frozen_shared_layer_leaves_the_weights_alone() -> None:
    network = TwoHeads((1.0, 9.0))
    network.shared.requires_grad_(False)
    assert trained(BalanceSettings(), batches(4), network=network).weights == {"box": 1.0, "class": 1.0}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("method", "magic"),
        ("alpha", -1.0),
        ("alpha", math.nan),
        ("lr", 0.0),
        ("floor", 0.0),
        ("floor", 1.0),
        ("every", 0),
        ("initial_steps", 0),
        ("patience", 0),
        ("weights", {"box": 0.0}),
        ("initial", {"class": math.inf}),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(setting: str, value: object) -> None:
    with pytest.raises(BadSetting, match=f"balance: {setting}"):
        BalanceSettings(**{setting: value})


def test_a_task_that_is_none_of_them_is_refused() -> None:
    with pytest.raises(BadSetting, match="allowed: box, class"):
        balancer_for(BalanceSettings(initial={"klass": 1.0}), TASKS)
    with pytest.raises(ValueError, match="expected losses of the tasks"):
        balancer_for(BalanceSettings(), TASKS).total({"box": torch.tensor(1.0)}, [])
