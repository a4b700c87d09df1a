"""Which settings are measured, and which of them is advised."""

from __future__ import annotations

from mlops.search.profiling.advice import (
    RECIPE,
    MeasuredSpeed,
    SettingsVariant,
    advise,
    as_text,
    together,
    variants_of,
    winners,
)
from mlops.search.profiling.probe import Clock
from mlops.systems import load_system

RAIL = load_system("railway-detector").recipe
BLOOD = load_system("blood-cell-classifier").recipe
JOINT = load_system("joint-detector").recipe
BATCH, COMPILE = (
    SettingsVariant("batch", {"batch": 64, "accumulate": 1}),
    SettingsVariant("compile", {"compile": True}),
)


def kinds(variants: tuple[SettingsVariant, ...]) -> set[str]:
    return {variant.kind for variant in variants}


def test_what_does_nothing_on_a_device_is_not_measured_there() -> None:
    assert kinds(variants_of(RAIL, "cpu", 8)) == {"recipe", "batch", "cache"}
    assert kinds(variants_of(RAIL, "cuda:0", 8)) == {"recipe", "batch", "cache", "workers", "amp"}
    assert kinds(variants_of(JOINT, "cpu", 8)) == {"recipe", "batch"}
    assert kinds(variants_of(JOINT, "cuda:0", 8)) == {"recipe", "batch", "workers", "amp"}
    assert kinds(variants_of(BLOOD, "cpu", 8)) == {"recipe", "batch", "compile"}
    assert kinds(variants_of(BLOOD, "cuda:0", 8)) == {"recipe", "batch", "compile", "amp"}


def test_no_more_loading_processes_are_tried_than_there_are_cores() -> None:
    tried = [v.changes["workers"] for v in variants_of(RAIL, "cuda:0", 4) if v.kind == "workers"]
    assert tried and all(isinstance(count, int) and count <= 4 for count in tried)


def test_a_larger_batch_keeps_the_pictures_of_a_classifiers_step() -> None:
    """The recipe: 32 pictures, the gradients of two batches."""
    batches = [dict(v.changes) for v in variants_of(BLOOD, "cpu", 2) if v.kind == "batch"]
    assert batches == [
        {"batch": 64, "accumulate": 1},
        {"batch": 128, "accumulate": 1},
        {"batch": 16, "accumulate": 4},
    ]


def test_what_is_worth_it_alone_is_tried_together_and_the_fastest_is_advised() -> None:
    alone = [MeasuredSpeed(RECIPE, 100.0), MeasuredSpeed(BATCH, 120.0), MeasuredSpeed(COMPILE, 130.0)]
    both = together(winners(alone))
    assert both is not None and set(both.settings) == {"batch=64", "accumulate=1", "compile=true"}
    advice = advise([*alone, MeasuredSpeed(both, 150.0)])
    assert advice.ratio == 1.5 and set(advice.settings) == set(both.settings)


def test_differences_below_5_percent_change_nothing() -> None:
    measured = [MeasuredSpeed(RECIPE, 100.0), MeasuredSpeed(BATCH, 104.0)]
    assert advise(measured).settings == () and winners(measured) == []


def test_a_change_that_adds_nothing_to_another_is_left_out() -> None:
    both = SettingsVariant("together", {**BATCH.changes, **COMPILE.changes})
    measured = [MeasuredSpeed(RECIPE, 100.0), MeasuredSpeed(COMPILE, 149.0), MeasuredSpeed(both, 150.0)]
    assert advise(measured).settings == ("compile=true",)


def test_what_failed_is_told_and_never_advised() -> None:
    measured = [MeasuredSpeed(RECIPE, 100.0, 10**9), MeasuredSpeed(BATCH, says="failed: out of memory")]
    assert winners(measured) == [] and advise(measured).settings == ()
    assert "failed: out of memory" in as_text("rail", "cpu", 400, measured, advise(measured))


def test_time_between_epochs_and_the_first_batches_do_not_count() -> None:
    clock = Clock(warm_up=2, wanted_s=0.9)
    for epoch, now in ((1, 0.0), (1, 9.0), (1, 9.3), (1, 9.6), (2, 60.0), (2, 60.3), (2, 60.6)):
        clock.tick(epoch, now)
    assert [round(each, 3) for each in clock.intervals_s] == [0.3, 0.3, 0.3, 0.3] and clock.enough
