"""Gates: from plain evidence to a result with figure, limit and one sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from registry.gates.evidence_values import (
    Approval,
    ChampionComparison,
    DataFacts,
    Evidence,
    Latency,
    Parity,
    finite,
    with_approvals,
)
from registry.gates.judge import GateResult, judge, refusals
from registry.policies.conditions import AnyGate, Gate

GATE: TypeAdapter[Gate] = TypeAdapter(AnyGate)

GOOD = Evidence(
    model="cells",
    version="3",
    champion="2",
    run_id="r",
    trained_by="ann",
    classes=("mono", "neutro"),
    licence="MIT",
    metrics={
        "val/macro_f1": 0.91,
        "test/macro_f1": 0.90,
        "test/F1/mono": 0.8,
        "test/F1/neutro": 0.95,
        "test/loss": 0.3,
        "train/accuracy": 0.94,
        "val/accuracy": 0.90,
    },
    data=DataFacts("d" * 64, demo=False, faults={"warning/class-never": 1}),
    files={"model.onnx": "a" * 64},
    unsafe=(),
    latency=Latency("AMD EPYC, 2 cores", 0, 100, 20.0, 30.0, 13_700_000, "a" * 64),
    parity=(Parity("onnx", 64, 1e-5, 1.0, "a" * 64),),
    comparisons=(ChampionComparison("2", "macro_f1", 0.95, 0.005, 900, 0.004, -0.002, 0.01, "not worse"),),
    approvals=(Approval("bob", True),),
)


def _judged(evidence: Evidence, kind: str, **keys: Any) -> GateResult:
    (result,) = judge([GATE.validate_python({"kind": kind, **keys})], evidence)
    return result


def _without(*names: str) -> Evidence:
    return replace(GOOD, metrics={k: v for k, v in GOOD.metrics.items() if k not in names})


PASSES: list[tuple[str, dict[str, Any]]] = [
    ("floor", {"metric": "val/macro_f1", "minimum": 0.91}),
    ("ceiling", {"metric": "test/loss", "at_most": 0.3}),
    ("per class", {"metric": "test/F1", "minimum": 0.8}),
    ("gap", {"of": "test/macro_f1", "to": "val/macro_f1", "at_most": 0.01}),
    ("not worse", {"metric": "macro_f1", "margin": 0.005}),
    ("latency", {"p50_ms": 20, "p95_ms": 30, "per_second": 50, "device": "epyc"}),
    ("size", {"at_most_mb": 13.7}),
    ("parity", {"difference": 1e-5, "agreement": 1.0}),
    ("data", {}),
    ("licence", {"allowed": ["MIT"]}),
    ("safe files", {}),
    ("approvals", {}),
]


@pytest.mark.parametrize(("kind", "keys"), PASSES)
def test_a_figure_that_just_reaches_its_limit_passes(kind: str, keys: dict[str, Any]) -> None:
    result = _judged(GOOD, kind, **keys)
    assert result.passed is True
    assert result.figure
    assert result.limit


REFUSES: list[tuple[str, dict[str, Any], Evidence, str]] = [
    (
        "floor",
        {"metric": "val/macro_f1", "minimum": 0.92},
        GOOD,
        "val/macro_f1 is 0.91, the policy requires at least 0.92",
    ),
    (
        "ceiling",
        {"metric": "test/loss", "at_most": 0.2},
        GOOD,
        "test/loss is 0.3, the policy allows at most 0.2",
    ),
    (
        "per class",
        {"metric": "test/F1", "minimum": 0.9},
        GOOD,
        "the weakest of 2 classes, mono, has test/F1 0.8, the policy requires at least 0.9",
    ),
    (
        "gap",
        {"of": "train/accuracy", "to": "val/accuracy", "at_most": 0.02},
        GOOD,
        "train/accuracy is 0.94 and val/accuracy 0.9, a gap of 0.04, the policy allows at most 0.02",
    ),
    ("latency", {"p95_ms": 25}, GOOD, "p95 30.0 ms of 100 calls on AMD EPYC, 2 cores"),
    ("latency", {"per_second": 60}, GOOD, "(50.0 images/s)"),
    ("size", {"at_most_mb": 10}, GOOD, "the ONNX file has 13.70 MB, the policy allows at most 10 MB"),
    ("parity", {"difference": 1e-6, "agreement": 1.0}, GOOD, "differs from the original by at most 1e-05"),
    ("data", {}, replace(GOOD, data=replace(GOOD.data, demo=True)), "was trained on demo data"),
    (
        "data",
        {},
        replace(GOOD, data=replace(GOOD.data, faults={"error/zero-area": 2})),
        "found 2 errors and 0 images in two splits",
    ),
    (
        "data",
        {},
        replace(GOOD, data=replace(GOOD.data, faults={"warning/identical-across-splits": 3})),
        "found 0 errors and 3 images in two splits",
    ),
    ("licence", {"allowed": ["Apache-2.0"]}, GOOD, "the licence is MIT"),
    (
        "safe files",
        {},
        replace(GOOD, unsafe=("w.pt: os.system", "w.pt: builtins.eval")),
        "a pickle could call w.pt: os.system (and 1 more)",
    ),
    ("approvals", {"at_least": 2}, GOOD, "cells/3 has 1 (bob) approvals, the policy requires at least 2"),
]


@pytest.mark.parametrize(("kind", "keys", "evidence", "says"), REFUSES)
def test_a_figure_beyond_its_limit_refuses_and_says_so_exactly(
    kind: str, keys: dict[str, Any], evidence: Evidence, says: str
) -> None:
    result = _judged(evidence, kind, **keys)
    assert result.passed is False
    assert says in result.says
    assert refusals([result]) == (result,)


EMPTY = Evidence(model="cells", version="3", champion="2")
UNMEASURED = [
    ("floor", {"metric": "val/macro_f1", "minimum": 0.1}, "mlops train cells"),
    ("ceiling", {"metric": "test/loss", "at_most": 9}, "mlops train cells"),
    ("per class", {"metric": "test/F1", "minimum": 0.1}, "mlops train cells"),
    ("gap", {"of": "test/macro_f1", "to": "val/macro_f1", "at_most": 1}, "mlops train cells"),
    ("not worse", {"metric": "macro_f1"}, "mlops train cells"),
    ("latency", {"p95_ms": 50}, "mlops registry measure cells 3"),
    ("size", {"at_most_mb": 99}, "mlops registry measure cells 3"),
    ("parity", {"difference": 1, "agreement": 0}, "mlops export cells/3 --format onnx"),
    ("data", {}, "mlops train cells"),
    ("licence", {}, "mlops train cells"),
    ("safe files", {}, "mlops registry show cells 3"),
]


@pytest.mark.parametrize(("kind", "keys", "command"), UNMEASURED)
def test_what_was_never_measured_refuses_and_names_the_command_that_measures_it(
    kind: str, keys: dict[str, Any], command: str
) -> None:
    result = _judged(EMPTY, kind, **keys)
    assert result.passed is None
    assert result.figure == "not measured"
    assert f"`{command}`" in result.says
    assert refusals([result]) == (result,)


def test_one_class_without_a_figure_refuses_them_all() -> None:
    result = _judged(_without("test/F1/mono"), "per class", metric="test/F1", minimum=0.1)
    assert result.passed is None
    assert "test/F1/mono" in result.says


def test_a_class_with_a_floor_of_its_own_is_judged_by_it() -> None:
    keys: dict[str, Any] = {"metric": "test/F1", "minimum": 0.9}
    assert _judged(GOOD, "per class", **keys, classes={"mono": 0.8}).passed is True
    result = _judged(GOOD, "per class", **keys, classes={"mono": 0.85})
    assert "at least 0.85" in result.says


@pytest.mark.parametrize(
    ("value", "level"), [(0.84, "no level"), (0.85, "minimum"), (0.9, "target"), (0.99, "stretch")]
)
def test_the_level_reached_is_told(value: float, level: str) -> None:
    evidence = replace(GOOD, metrics={"f": value})
    result = _judged(evidence, "floor", metric="f", minimum=0.85, target=0.9, stretch=0.93)
    assert level in result.says
    assert result.passed is (value >= 0.85)


def test_a_stage_may_require_a_higher_level() -> None:
    keys: dict[str, Any] = {"metric": "val/macro_f1", "minimum": 0.85, "target": 0.92}
    assert _judged(GOOD, "floor", **keys).passed is True
    assert _judged(GOOD, "floor", **keys, require="target").passed is False


def test_a_gap_at_its_limit_passes_whatever_floating_point_makes_of_it() -> None:
    evidence = replace(GOOD, metrics={"a": 0.97, "b": 0.95})
    assert _judged(evidence, "gap", of="a", to="b", at_most=0.02).passed is True


def test_a_one_sided_gap_lets_the_other_side_be_better() -> None:
    keys: dict[str, Any] = {"of": "val/accuracy", "to": "train/accuracy", "at_most": 0.01}
    assert _judged(GOOD, "gap", **keys).passed is False
    assert _judged(GOOD, "gap", **keys, one_sided=True).passed is True


@pytest.mark.parametrize(("gap", "grade"), [(0.01, "excellent"), (0.03, "good"), (0.049, "good")])
def test_a_gap_is_graded(gap: float, grade: str) -> None:
    evidence = replace(GOOD, metrics={"a": 0.9 + gap, "b": 0.9})
    grades = {"excellent": 0.02, "good": 0.05}
    result = _judged(evidence, "gap", of="a", to="b", at_most=0.05, grades=grades)
    assert result.says.endswith(f"graded {grade}")


@pytest.mark.parametrize("verdict", ["worse", "not distinguishable"])
def test_a_version_not_shown_to_be_as_good_as_the_champion_is_refused(verdict: str) -> None:
    evidence = replace(GOOD, comparisons=(replace(GOOD.comparisons[0], verdict=verdict),))
    result = _judged(evidence, "not worse", metric="macro_f1", margin=0.005)
    assert result.passed is False
    assert verdict in result.says
    assert "version 2" in result.says


def test_the_first_version_of_a_stage_has_no_champion_to_be_compared_with() -> None:
    evidence = replace(GOOD, champion="", comparisons=())
    assert _judged(evidence, "not worse", metric="macro_f1").passed is True


def test_a_comparison_made_with_another_margin_does_not_count() -> None:
    assert _judged(GOOD, "not worse", metric="macro_f1", margin=0.001).passed is None


def test_a_comparison_that_could_not_be_made_says_why() -> None:
    failed = ChampionComparison(
        "2", "macro_f1", 0.95, 0.005, problem="the versions were tested on different images"
    )
    result = _judged(replace(GOOD, comparisons=(failed,)), "not worse", metric="macro_f1", margin=0.005)
    assert result.passed is None
    assert "the versions were tested on different images" in result.says


def test_a_latency_of_another_device_does_not_count() -> None:
    result = _judged(GOOD, "latency", p95_ms=50, device="Jetson")
    assert result.passed is None
    assert "it was measured on AMD EPYC" in result.says


def test_a_file_that_its_export_left_out_refuses_however_alike_it_is() -> None:
    left_out = replace(GOOD, parity=(replace(GOOD.parity[0], passed=False),))
    result = _judged(left_out, "parity", difference=1, agreement=0)
    assert result.passed is False
    assert "the export did not keep the file" in result.says


def test_demo_data_may_be_allowed_by_a_policy() -> None:
    evidence = replace(GOOD, data=replace(GOOD.data, demo=True))
    assert _judged(evidence, "data", demo="allowed").passed is True


def test_whoever_trained_a_version_cannot_approve_it() -> None:
    evidence = with_approvals(GOOD, (Approval("ann", True),))
    result = _judged(evidence, "approvals")
    assert result.passed is False
    assert "the approval by ann, who trained it, does not count" in result.says


def test_neither_can_whoever_a_changed_tag_hides() -> None:
    evidence = replace(GOOD, trained_by="eve", trainers=("eve", "ann"))
    result = _judged(with_approvals(evidence, (Approval("ann", True),)), "approvals")
    assert result.passed is False
    assert "the approval by ann, who trained it, does not count" in result.says


def test_one_rejection_refuses_whoever_approves() -> None:
    evidence = with_approvals(GOOD, (Approval("bob", True), Approval("eve", False, "too slow")))
    result = _judged(evidence, "approvals")
    assert result.passed is False
    assert result.says == "eve rejected cells/3: too slow"


def test_a_persons_last_word_counts() -> None:
    evidence = with_approvals(GOOD, (Approval("bob", False), Approval("bob", True)))
    assert _judged(evidence, "approvals").passed is True


def test_no_approval_counts_where_nobody_knows_who_trained_it() -> None:
    assert _judged(replace(GOOD, trained_by=""), "approvals").passed is None


def test_results_come_in_the_policys_order() -> None:
    gates = [GATE.validate_python({"kind": kind, **keys}) for kind, keys in PASSES]
    results = judge(gates, GOOD)
    assert [result.gate for result in results] == [gate.name for gate in gates]
    assert not refusals(results)


def test_every_sentence_is_one_line() -> None:
    gates = [GATE.validate_python({"kind": kind, **keys}) for kind, keys in PASSES]
    for result in (*judge(gates, GOOD), *judge(gates, EMPTY)):
        assert "\n" not in result.says
        assert not result.says.endswith(".")


def test_what_is_no_number_was_not_measured() -> None:
    assert finite({"a": float("nan"), "b": 1.7976931348623157e308, "c": 0.5}) == {"c": 0.5}
