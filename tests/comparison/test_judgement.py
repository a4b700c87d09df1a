"""What is recommended, grouped and told, from plain values: the seeds' own tables among them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlops.comparison.candidate import CandidateLatency, Configuration, Costs, MeasuredOn, Side, grouped
from mlops.comparison.costs import costs_of, growth_of
from mlops.comparison.formatting import change, quantity, winner
from mlops.errors import NotComparable
from mlops.metrics.statistics.metric_differences import FigureCompared, relative
from mlops.metrics.statistics.paired import verdict_of
from mlops.metrics.statistics.recommending import Weighed, fact_of, recommend


def _side(name: str, seed: str = "0", recipe: str = "r", **costs: float | CandidateLatency) -> Side:
    return Side(
        name=name,
        run_id=name,
        system="s",
        recipe=recipe,
        seed=seed,
        trained_digest="d",
        trained_on=100,
        tested=MeasuredOn("data", "d", "test"),
        classes=(),
        boxes=None,
        answers=None,
        costs=Costs(**costs),  # type: ignore[arg-type]
    )


def _one(side: Side) -> Configuration:
    return Configuration(side.name, (side,))


def _figure(baseline: float, candidate: float, half: float, margin: float = 0.005) -> FigureCompared:
    difference = candidate - baseline
    verdict = verdict_of(difference - half, difference + half, margin)
    return FigureCompared(
        figure="mAP50-95",
        baseline=baseline,
        candidate=candidate,
        baseline_sd=None,
        candidate_sd=None,
        difference=difference,
        relative=relative(baseline, candidate),
        low=difference - half,
        high=difference + half,
        p=0.01,
        adjusted=0.01,
        verdict=verdict,
        holds=verdict in ("better", "worse"),
    )


def _weighed(name: str, figure: FigureCompared, parameters: float, **against: tuple[float, float]) -> Weighed:
    facts = (fact_of("parameters", "", 10e6, parameters),)
    return Weighed(name, figure, (), facts, against)


@pytest.mark.parametrize(
    ("figure", "small", "medium", "improvement"),
    [
        ("mAP@0.5", 0.773, 0.781, "+1.0%"),
        ("mAP@0.5:0.95", 0.372, 0.422, "+13.4%"),
        ("precision", 0.769, 0.761, "-1.0%"),
        ("recall", 0.672, 0.693, "+3.1%"),
        ("parameters", 10e6, 22e6, "+120%"),
    ],
)
def test_relative_differences_are_those_of_the_oct_report(
    figure: str, small: float, medium: float, improvement: str
) -> None:
    assert change(relative(small, medium)) == improvement


def test_the_winner_of_each_cost_is_that_of_the_railway_report() -> None:
    """Its 'Model Comparison Summary': 72 % fewer parameters, 42 % less training time."""
    large = _side("yolo11s", parameters=9.4e6, training_s=11.2 * 3600, images_per_s=29.2)
    small = _side("yolo11n", parameters=2.6e6, training_s=6.5 * 3600, images_per_s=47.5)
    facts = {fact.fact: fact for fact in costs_of(_one(large), _one(small))}
    assert change(facts["parameters"].relative) == "-72.3%"
    assert change(facts["training time"].relative) == "-42.0%"
    assert {winner(fact, "yolo11s", "yolo11n") for fact in facts.values()} == {"yolo11n"}
    assert quantity(facts["training time"].candidate, "s") == "6.50 h"


def test_growth_is_that_of_the_blood_cell_report() -> None:
    """Its 'Executive Summary': 33 x the pictures, F1 +16.85 points."""
    small = replace(_side("previous"), trained_on=296)
    full = replace(_side("current"), trained_on=9755)
    growth = growth_of(small, full, [_figure(0.8132, 0.9817, 0.01)])
    assert growth is not None
    assert round(growth.factor) == 33
    assert growth.points["mAP50-95"] == pytest.approx(16.85)
    assert growth_of(small, replace(full, trained_on=296), []) is None


def test_latencies_of_two_machines_are_not_set_against_each_other() -> None:
    one = _side("a", latency=CandidateLatency("CPU, 2 cores", 8.0, 9.0))
    other = _side("b", latency=CandidateLatency("Jetson", 30.0, 31.0))
    facts = {fact.fact: fact for fact in costs_of(_one(one), _one(other))}
    assert facts["latency p50"].relative is None
    assert "different machines" in facts["latency p50"].note


def test_what_was_not_recorded_is_told_and_not_guessed() -> None:
    (fact,) = costs_of(_one(_side("a", parameters=1e6)), _one(_side("b")))
    assert (fact.candidate, fact.relative, quantity(fact.candidate, "")) == (None, None, "not recorded")


def test_the_best_of_those_that_are_better_is_taken() -> None:
    good = _weighed("good", _figure(0.4, 0.45, 0.01), 12e6, best=(-0.06, -0.02))
    best = _weighed("best", _figure(0.4, 0.49, 0.01), 30e6, good=(0.02, 0.06))
    found = recommend("old", [good, best], 0.005, 500)
    assert (found.choice, found.verdict) == ("best", "better")
    assert "+200% parameters" in " ".join(found.says)


def test_of_two_better_ones_that_are_alike_the_cheaper_is_taken() -> None:
    cheap = _weighed("cheap", _figure(0.4, 0.45, 0.01), 5e6, dear=(-0.02, 0.01))
    dear = _weighed("dear", _figure(0.4, 0.455, 0.01), 30e6, cheap=(-0.01, 0.02))
    found = recommend("old", [cheap, dear], 0.005, 500)
    assert found.choice == "cheap"
    assert "not distinguishable from dear" in " ".join(found.says)


def test_one_that_is_not_worse_and_cheaper_is_taken() -> None:
    found = recommend("old", [_weighed("small", _figure(0.4, 0.401, 0.004), 3e6)], 0.005, 500)
    assert (found.choice, found.verdict) == ("small", "not worse")
    assert "-70% parameters" in found.says[0]


def test_one_that_is_not_worse_and_dearer_is_not_taken() -> None:
    found = recommend("old", [_weighed("large", _figure(0.4, 0.401, 0.004), 30e6)], 0.005, 500)
    assert (found.choice, found.verdict) == ("old", "not worse")


def test_what_cannot_be_told_apart_leaves_the_baseline_and_says_what_it_would_take() -> None:
    found = recommend("old", [_weighed("new", _figure(0.4, 0.42, 0.04), 10e6)], 0.005, 500)
    assert (found.choice, found.verdict) == ("old", "not distinguishable")
    assert "about 2,000 images" in " ".join(found.says)  # half the width: four times as many


def test_what_does_not_stand_after_the_correction_is_not_taken() -> None:
    lucky = replace(_figure(0.4, 0.45, 0.04), holds=False, adjusted=0.2)
    found = recommend("old", [_weighed("lucky", lucky, 10e6)], 0.005, 500)
    assert (found.choice, found.verdict) == ("old", "not distinguishable")


def test_a_figure_that_got_worse_is_warned_of() -> None:
    recall = replace(_figure(0.7, 0.6, 0.02), figure="recall")
    better = replace(_weighed("new", _figure(0.4, 0.45, 0.01), 10e6), others=(recall,))
    assert "But recall is worse: -0.1000." in recommend("old", [better], 0.005, 500).says


def test_the_worse_one_is_not_taken_however_cheap() -> None:
    found = recommend("old", [_weighed("tiny", _figure(0.4, 0.3, 0.02), 1e5)], 0.005, 500)
    assert (found.choice, found.verdict) == ("old", "worse")


def test_seeds_of_one_recipe_are_one_configuration() -> None:
    sides = [_side("a0", "0"), _side("b0", "0", "q"), _side("a1", "1"), _side("b1", "1", "q")]
    configurations, notes = grouped(sides)
    assert [[side.name for side in each.sides] for each in configurations] == [["a0", "a1"], ["b0", "b1"]]
    assert notes == ["a0 (2 seeds): the mean of 2 seeds.", "b0 (2 seeds): the mean of 2 seeds."]


def test_the_same_seed_again_is_another_side() -> None:
    configurations, _ = grouped([_side("a", "0"), _side("again", "0"), _side("c", "0", "q")])
    assert len(configurations) == 3


def test_seeds_of_a_single_configuration_are_compared_with_each_other() -> None:
    configurations, notes = grouped([_side("a", "0"), _side("b", "1")])
    assert [each.name for each in configurations] == ["a", "b"]
    assert "seeds of one configuration" in notes[0]


def test_one_alone_is_nothing_to_compare() -> None:
    with pytest.raises(NotComparable, match="at least two"):
        grouped([_side("a")])
