"""Figures compared at once: corrections, McNemar, seeds, against what others publish or compute."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, f1_score

from mlops.metrics.statistics.hypothesis_tests import holm, mcnemar, of_counts, p_of_draws
from mlops.metrics.statistics.metric_differences import ComparisonSettings, compare_figures, corrected
from mlops.metrics.statistics.resampling import Drawn, of_seeds, resample, scores_of_classes, shared_cells

CLASSES = ("a", "b", "c", "d")


def _answers(right: float, seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    truth = np.random.default_rng(7).integers(0, len(CLASSES), count)
    rng = np.random.default_rng(seed)
    return truth, np.where(rng.random(count) < right, truth, rng.integers(0, len(CLASSES), count))


def _drawn(*answers: np.ndarray, truth: np.ndarray, draws: int = 400) -> list[Drawn]:
    cells, counts = shared_cells(truth, answers)
    models = [scores_of_classes(cells[:, 0], cells[:, at + 1], CLASSES) for at in range(len(answers))]
    return resample(counts, models, draws=draws, seed=1)


def test_mcnemar_is_the_published_worked_example() -> None:
    # Agresti, 'Categorical Data Analysis' (2nd ed. 2002), table 10.1: 1,600 Britons asked twice for their
    # approval, of whom 150 and 86 changed their mind; z = (86 - 150) / sqrt(86 + 150) = -4.17, P < 0.0001
    found = of_counts(both_right=794, only_baseline=150, only_candidate=86, both_wrong=570)
    assert found.p < 0.0001
    assert norm.isf(found.p / 2) == pytest.approx(4.17, abs=0.06)
    assert found.p == pytest.approx(2 * sum(comb(236, few) for few in range(87)) / 2**236)


def test_mcnemar_of_few_differing_answers_is_exact() -> None:
    # 1 of 9: 2 (C(9,0) + C(9,1)) / 2^9
    assert of_counts(10, 8, 1, 3).p == pytest.approx(2 * (1 + 9) / 2**9)
    assert of_counts(10, 0, 0, 3).p == 1.0


def test_mcnemar_counts_each_picture_once() -> None:
    truth, baseline, candidate = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), np.array([0, 0, 0, 0])
    found = mcnemar(truth, baseline, candidate)
    assert (found.both_right, found.only_baseline, found.only_candidate, found.both_wrong) == (1, 1, 1, 1)


def test_holm_is_the_worked_example_of_rs_p_adjust() -> None:
    # p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([]) == []


def test_p_is_below_alpha_exactly_where_the_interval_leaves_zero_out() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.5, 1.9, 2.1, 3.0):
        draws = rng.normal(shift, 1, 4000)
        low, high = np.quantile(draws, (0.025, 0.975))
        assert (p_of_draws(draws) < 0.05) == (low > 0 or high < 0)


def test_p_of_what_no_draw_crosses_is_the_normal_tail() -> None:
    draws = np.random.default_rng(0).normal(6, 1, 2000)
    assert p_of_draws(draws) == pytest.approx(2 * norm.sf(6), rel=0.5)
    assert p_of_draws(np.zeros(500)) == 1.0


def test_every_figure_of_a_classifier_is_scikit_learns() -> None:
    truth, answer = _answers(0.8, 1)
    (found,) = _drawn(answer, truth=truth)
    assert found.of("accuracy")[0] == pytest.approx(accuracy_score(truth, answer))
    assert found.of("macro_f1")[0] == pytest.approx(f1_score(truth, answer, average="macro"))
    for name, value in zip(CLASSES, f1_score(truth, answer, average=None), strict=True):
        assert found.of(f"F1/{name}")[0] == pytest.approx(value)


def test_the_interval_of_a_class_is_that_of_scipys_paired_bootstrap() -> None:
    from scipy.stats import bootstrap

    truth, good = _answers(0.9, 1)
    _, fair = _answers(0.8, 2)
    first, second = _drawn(fair, good, truth=truth, draws=4000)
    compared, _ = compare_figures([first], [second], ComparisonSettings(draws=4000))
    ours = next(each for each in compared if each.figure == "F1/b")

    def f1(t: np.ndarray, answer: np.ndarray, axis: int) -> np.ndarray:
        is_truth, is_answer = t == 1, answer == 1
        return 2 * (is_truth & is_answer).sum(axis) / (is_truth.sum(axis) + is_answer.sum(axis))

    assert f1(truth, good, 0) == pytest.approx(f1_score(truth == 1, good == 1))
    theirs = bootstrap(
        (truth, fair, good),
        lambda t, a, b, axis: f1(t, b, axis) - f1(t, a, axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.005)
    assert ours.high == pytest.approx(theirs.high, abs=0.005)


def test_one_model_twice_differs_in_nothing() -> None:
    truth, answer = _answers(0.8, 1)
    first, second = _drawn(answer, answer, truth=truth)
    compared, undefined = compare_figures([first], [second], ComparisonSettings())
    assert {(each.difference, each.low, each.high, each.verdict) for each in compared} == {
        (0, 0, 0, "not worse")
    }
    assert undefined == []


def test_of_many_chance_differences_holm_keeps_few() -> None:
    truth, _ = _answers(0.8, 0)
    drawn = _drawn(*(_answers(0.8, seed)[1] for seed in range(40)), truth=truth, draws=500)
    pairs = zip(drawn[::2], drawn[1::2], strict=True)
    families = [compare_figures([one], [other], ComparisonSettings())[0] for one, other in pairs]
    alone = sum(each.holds for family in families for each in family)
    held = sum(each.holds for family in corrected(families, 0.05) for each in family)
    assert held == 0 < alone


def test_seeds_widen_the_interval_by_what_they_differ() -> None:
    """With S - 1 of S drawn, the variance of the mean is that over seeds divided by their number."""
    values = np.array([0.80, 0.84, 0.88])
    trainings = [Drawn(("f",), np.array([value]), np.full((60_000, 1), value)) for value in values]
    together = of_seeds(trainings, (0, 1))
    assert together.whole[0] == pytest.approx(values.mean())
    assert together.draws.var() == pytest.approx(values.var(ddof=1) / 3, rel=0.03)


def test_one_training_has_no_spread_and_three_have() -> None:
    truth, fair = _answers(0.8, 1)
    seeds = [_answers(0.9, seed)[1] for seed in (2, 3, 4)]
    first, *others = _drawn(fair, *seeds, truth=truth)
    (found,) = [
        each
        for each in compare_figures([first], others, ComparisonSettings())[0]
        if each.figure == "accuracy"
    ]
    scores = [accuracy_score(truth, each) for each in seeds]
    assert found.baseline_sd is None
    assert found.candidate == pytest.approx(np.mean(scores))
    assert found.candidate_sd == pytest.approx(np.std(scores, ddof=1))
    assert found.verdict == "better"
