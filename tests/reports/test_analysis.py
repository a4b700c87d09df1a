"""The report's statistics against scipy, numpy and worked examples; its rules on curves made for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlops.reports.analysis import anomaly_rules
from mlops.reports.analysis.bottlenecks import Use, bottleneck, pauses
from mlops.reports.analysis.epoch_statistics import (
    FOUR,
    best_epoch,
    decreases,
    fluctuation,
    mean_of,
    milestones,
    plateau,
    quarters,
    spread,
)
from mlops.reports.analysis.rate_phases import phases
from mlops.reports.analysis.trial_statistics import importances, saved_by_pruning
from mlops.reports.analysis.weight_phases import weight_phases
from mlops.reports.report_figures import draw_losses
from mlops.store.histories import Curve, curve_of


def curve(values: list[float], key: str = "train/loss", first: int = 1) -> Curve:
    steps = tuple(range(first, first + len(values)))
    return Curve(key, steps, tuple(values), tuple(1000 * step for step in steps))


@pytest.fixture
def noisy() -> list[float]:
    return list(np.random.default_rng(0).normal(0.9, 0.03, 60))


def test_mean_deviation_and_variation_agree_with_scipy(noisy: list[float]) -> None:
    found = spread(noisy)
    assert found.mean == pytest.approx(np.mean(noisy))
    assert found.sd == pytest.approx(stats.tstd(noisy, ddof=0))
    assert found.cv == pytest.approx(stats.variation(noisy))


def test_scatter_is_that_about_scipys_regression_line(noisy: list[float]) -> None:
    steps = np.arange(1, 61)
    rising = np.asarray(noisy) + 0.01 * steps
    fit = stats.linregress(steps, rising)
    left = rising - (fit.intercept + fit.slope * steps)
    assert fluctuation(list(steps), list(rising)) == pytest.approx(np.std(left) / np.mean(rising))


def test_importances_add_up_and_name_the_setting_that_mattered() -> None:
    """The value is one setting's square; the other is noise that it does not depend on."""
    random = np.random.default_rng(1)
    settings = [{"lr": x, "momentum": y} for x, y in random.uniform(0, 1, (60, 2))]
    found = importances(settings, [each["lr"] ** 2 for each in settings])
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "lr"
    assert found["lr"] > 0.9


def test_importances_are_not_made_up_of_few_trials() -> None:
    assert importances([{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}], [0.1, 0.2, 0.3]) == {}
    assert importances([{"lr": 0.1}] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == {}


def test_what_pruning_saved_is_what_pruned_trials_did_not_train() -> None:
    """Worked: trials of 10 epochs; two are pruned after 3 and 4, so 7 + 6 of 40 epochs were saved."""
    saved = saved_by_pruning([10, 3, 4, 8], [10] * 4, [False, True, True, False], [60.0, 120.0])
    assert (saved.pruned, saved.epochs, saved.planned) == (2, 13, 40)
    assert saved.share == pytest.approx(0.325)
    assert saved.seconds == 13 * 90


def test_decrease_is_measured_from_the_end_of_the_range_before() -> None:
    """Worked: the loss halves in each range; of ten epochs they end at 1 (of no length), 3, 6 and 10."""
    found = decreases(curve([8.0, 6.0, 4.0, 3.0, 2.5, 2.0, 1.75, 1.5, 1.25, 1.0]), FOUR)
    assert [(each.before, each.last, each.change) for each in found] == [
        (1, 3, -0.5),
        (3, 6, -0.5),
        (6, 10, -0.5),
    ]


def test_best_epoch_is_the_later_of_equals_and_never_nan() -> None:
    assert best_epoch(curve([0.5, 0.9, math.nan, 0.9, 0.8])) == 4
    assert best_epoch(curve([math.nan, math.nan])) is None


def test_milestones_hold_first_and_last_and_are_few() -> None:
    for last in (1, 14, 15, 95, 130, 300, 1000):
        found = milestones(range(1, last + 1))
        assert found[0] == 1
        assert found[-1] == last
        assert len(found) <= 16


def test_quarters_of_few_epochs() -> None:
    assert quarters([3]) == ((3, 3),)
    assert quarters([1, 2, 3, 4, 5]) == ((1, 2), (3, 3), (4, 4), (5, 5))


def test_no_plateau_while_it_still_rises() -> None:
    assert plateau([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) is None
    assert plateau([0.1, 0.5, 0.9, 0.899, 0.9, 0.898, 0.9]) == 2


def test_a_loss_that_falls_steeply_to_the_end_has_not_diverged() -> None:
    assert anomaly_rules.divergence(curve([0.9, 0.5, 0.2, 0.05, 0.01])) == ()
    found = anomaly_rules.divergence(curve([0.9, 0.5, 0.2, 0.4, 0.6, 0.8]))
    assert [(each.first, each.last) for each in found] == [(3, 6)]


def test_nan_is_told_with_its_epochs() -> None:
    (found,) = anomaly_rules.not_finite(curve([0.5, math.nan, 0.4, math.inf], "val/box_loss"))
    assert (found.first, found.last, found.figure) == (2, 4, "2 epochs without a finite value")


def test_overfitting_is_a_rising_validation_loss_under_a_falling_training_loss() -> None:
    falling = [1.0, 0.8, 0.6, 0.4, 0.3, 0.2]
    rising = [1.0, 0.7, 0.6, 0.7, 0.8, 0.9]
    (found,) = anomaly_rules.rising_validation(curve(falling), curve(rising, "val/loss"))
    assert (found.first, found.last) == (3, 6)
    assert anomaly_rules.rising_validation(curve(rising), curve(rising, "val/loss")) == ()


def test_a_swing_of_less_than_one_picture_is_no_oscillation() -> None:
    zigzag = curve([0.9 + 0.004 * (-1) ** i for i in range(40)], "val/mAP50")
    assert anomaly_rules.oscillation(zigzag, pictures=None)
    assert anomaly_rules.oscillation(zigzag, pictures=1000)
    assert anomaly_rules.oscillation(zigzag, pictures=100) == ()


def test_gap_counts_one_way_only() -> None:
    assert anomaly_rules.gap(curve([0.99], "train/accuracy"), curve([0.9], "val/accuracy"))
    assert anomaly_rules.gap(curve([0.9], "train/accuracy"), curve([0.99], "val/accuracy")) == ()


def test_a_waiting_gpu_is_starvation_and_a_busy_one_is_not() -> None:
    key = "system/gpu_0_utilization_percentage"
    assert anomaly_rules.starved(curve([40.0, 50.0], key))
    assert anomaly_rules.starved(curve([91.0, 88.0], key)) == ()


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (Use(cpu=30, gpu=92), "GPU"),
        (Use(cpu=97, gpu=40), "data loading"),
        (Use(cpu=30, gpu=40), "input"),
        (Use(cpu=30, gpu=75, gpu_memory=97), "GPU memory"),
        (Use(cpu=99), "CPU"),
        (Use(cpu=30), "waiting"),
    ],
)
def test_bottleneck_is_named_from_the_figures(use: Use, name: str) -> None:
    found = bottleneck(use)
    assert found is not None
    assert found.name == name


def test_bottleneck_is_not_guessed() -> None:
    assert bottleneck(Use()) is None


def test_an_interruption_between_two_epochs_is_found() -> None:
    times = Curve("time/epoch_s", (1, 2, 3), (10.0, 10.0, 10.0), (10_000, 20_000, 630_000))
    assert [(p.after, p.before, p.pause_s) for p in pauses(times)] == [(2, 3, 600.0)]


@pytest.mark.parametrize(
    ("values", "shapes"),
    [
        ([0.01] * 10, ["constant"]),
        ([0.1 * 0.9**i for i in range(20)], ["exponential decay"]),
        ([0.1 - 0.004 * i for i in range(20)], ["linear decay"]),
        ([0.1] * 5 + [0.01] * 5, ["constant", "step decay", "constant"]),
    ],
)
def test_shape_of_a_learning_rate(values: list[float], shapes: list[str]) -> None:
    assert [phase.shape for phase in phases(curve(values, "lr/all"))] == shapes


def test_a_ratio_that_never_moves_is_stable_and_one_of_two_points_has_no_phases() -> None:
    assert [phase.name for phase in weight_phases(range(5), [2.0] * 5)] == ["stable"]
    assert weight_phases(range(2), [2.0, 3.0]) == ()


def test_a_ratio_that_still_moves_when_training_ends_is_not_called_stable() -> None:
    falling = [5 * 0.97**step for step in range(30)]
    assert [phase.name for phase in weight_phases(range(30), falling)] == ["quick search", "fine adjustment"]
    [only] = weight_phases(range(10), [2.0] * 9 + [1.0])
    assert (only.name, only.last) == ("quick search", 9)


def test_a_joint_networks_best_epoch_is_that_of_both_tasks_together() -> None:
    boxes, classes = curve([0.5, 0.4, 0.45], "val/mAP50-95"), curve([0.1, 0.4, 0.3], "val/macro_f1")
    assert (best_epoch(boxes), best_epoch(mean_of([boxes, classes]))) == (1, 2)


def test_an_epoch_logged_twice_counts_as_it_was_logged_last() -> None:
    found = curve_of("val/mAP50", [(2, 300, 0.7), (1, 100, 0.5), (2, 200, 0.6), (3, 400, 1.797e308)])
    assert found.steps == (1, 2, 3)
    assert found.values == (0.5, 0.7, math.inf)


def test_a_loss_that_one_epoch_towers_over_is_drawn_logarithmically() -> None:
    steps = tuple(range(1, 11))
    calm = Curve("train/box_loss", steps, tuple(3 / step for step in steps), ())
    tower = Curve("val/cls_loss", steps, (4.0, 3.0, 2.5, 520.0, *(2.0 for _ in steps[4:])), ())
    panels = draw_losses([calm, tower]).axes
    assert {axes.get_title(): axes.get_yscale() for axes in panels} == {
        "box loss": "linear",
        "cls loss": "log",
    }
