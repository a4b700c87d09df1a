"""Policies: what comes with the product, and what is said of a file that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.errors import BadSetting, UserError
from mlops.systems import list_systems
from registry.ledger.entry import Stage
from registry.policies.conditions import Floor, NotWorse, PerClass
from registry.policies.policy import KINDS, list_policies, load_policy, parse_policy
from tests.command import REPOSITORY

FLOOR = "{kind: floor, metric: test/mAP50, minimum: 0.5}"


def _file(*gates: str, stage: str = "Staging", more: str = "") -> str:
    return "\n".join(["model: m", more, "gates:", f"  {stage}:", *(f"    - {gate}" for gate in gates)])


def test_every_system_has_a_policy() -> None:
    assert list_policies() == list_systems()


@pytest.mark.parametrize("model", list_policies())
def test_every_policy_guards_both_stages(model: str) -> None:
    policy = load_policy(model)
    assert policy.model == model
    kinds = {gate.kind for gate in policy.gates_for(Stage.PRODUCTION)}
    assert {"data", "licence", "safe files", "not worse", "parity", "approvals"} <= kinds
    assert "approvals" not in {gate.kind for gate in policy.gates_for(Stage.STAGING)}
    assert policy.comparisons()


def test_the_blood_cell_limits_are_the_reports() -> None:
    gates = {gate.name: gate for gate in load_policy("blood-cell-classifier").gates_for(Stage.STAGING)}
    macro, classes = gates["val/macro_f1 floor"], gates["val/F1 per class"]
    assert isinstance(macro, Floor)
    assert isinstance(classes, PerClass)
    assert macro.limits() == {"minimum": 0.85, "target": 0.90, "stretch": 0.93}
    assert classes.limits() == {"minimum": 0.75, "target": 0.80}


def test_the_weak_class_of_the_railway_has_its_own_floor() -> None:
    gates = load_policy("railway-detector").gates_for(Stage.STAGING)
    (per_class,) = [gate for gate in gates if isinstance(gate, PerClass)]
    assert per_class.classes == {"suliaodai": 0.892}


def test_production_asks_for_all_that_staging_does_and_a_later_gate_replaces_its_namesake() -> None:
    policy = load_policy("blood-cell-classifier")
    staging, production = policy.gates_for(Stage.STAGING), policy.gates_for(Stage.PRODUCTION)
    assert {gate.name for gate in staging} < {gate.name for gate in production}
    names = [gate.name for gate in production]
    assert len(names) == len(set(names))
    (macro,) = [gate for gate in production if gate.name == "val/macro_f1 floor"]
    assert isinstance(macro, Floor)
    assert macro.require == "target"


def test_archiving_needs_no_gate() -> None:
    assert load_policy("oct-detector").gates_for(Stage.ARCHIVED) == ()


def test_the_way_to_production_is_by_staging_and_back_from_the_archive() -> None:
    policy = load_policy("oct-detector")
    assert policy.may_go(Stage.NONE, Stage.STAGING)
    assert not policy.may_go(Stage.NONE, Stage.PRODUCTION)
    assert policy.may_go(Stage.ARCHIVED, Stage.PRODUCTION)
    assert not policy.may_go(Stage.PRODUCTION, Stage.STAGING)


def test_a_policy_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(_file("{kind: not worse, metric: macro_f1, margin: 0.01}"), encoding="utf-8")
    (gate,) = load_policy(str(file)).gates_for(Stage.STAGING)
    assert isinstance(gate, NotWorse)
    assert (gate.margin, gate.confidence, gate.accept) == (0.01, 0.95, ("better", "not worse"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (_file("{kind: flor, metric: a, minimum: 1}"), ["f.yaml:5", "kind", "'flor'", "did you mean floor?"]),
        (_file("{metric: a}"), ["f.yaml:5", "kind", "missing"]),
        (_file("{kind: floor, metric: a}"), ["gates.Staging.0.minimum", "missing"]),
        (_file("{kind: floor, metric: a, minimum: high}"), ["gates.Staging.0.minimum", "'high'"]),
        (_file("{kind: floor, metric: a, minimum: no}"), ["gates.Staging.0.minimum", "False", "number"]),
        (_file("{kind: per class, metric: a, minimum: 1, classes: {b: no}}"), ["False", "number"]),
        (_file("{kind: approvals, at_least: yes}"), ["gates.Staging.0.at_least", "True"]),
        (_file("{kind: floor, metric: a, minimum: 1, require: target}"), ["a value for target"]),
        (_file("{kind: floor, metric: a, minmum: 1}"), ["minmum", "did you mean minimum?"]),
        (_file("{kind: latency}"), ["p50_ms, p95_ms and per_second"]),
        (_file("{kind: not worse, metric: a, confidence: 95}"), ["confidence", "95"]),
        (_file(FLOOR, FLOOR), ["is in Staging twice"]),
        (_file(FLOOR, stage="Stagin"), ["f.yaml", "Stagin", "'Staging'"]),
        (_file(FLOOR, stage="Archived"), ["only for Staging and Production"]),
        (_file(FLOOR, more="signing_keys: [abc]"), ["signing_keys", "abc"]),
        ("model: m\ngaets: {}\n", ["f.yaml:2", "gaets", "did you mean gates?"]),
    ],
)
def test_a_file_that_cannot_be_is_told_with_place_and_what_is_allowed(text: str, names: list[str]) -> None:
    with pytest.raises(BadSetting) as told:
        parse_policy(text, "f.yaml")
    for name in names:
        assert name in str(told.value)
    assert "\n" not in str(told.value)


def test_numbers_may_be_written_as_yaml_takes_for_text() -> None:
    (gate,) = parse_policy(_file("{kind: floor, metric: a, minimum: 1e-3}"), "f").gates_for(Stage.STAGING)
    assert isinstance(gate, Floor)
    assert gate.minimum == 0.001


def test_a_policy_is_the_same_whatever_its_title_and_the_order_of_its_keys() -> None:
    one, other = (
        parse_policy(text, "f") for text in ("model: m\ngates: {}\n", "gates: {}\ntitle: t\nmodel: m\n")
    )
    assert one.digest == other.digest
    assert one.digest != parse_policy(_file(FLOOR), "f").digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: m\ntitle: !!bool x\n", "fix that value"),
        ("model: m\ntitle: !!int ''\n", "fix that value"),
        ("model: m\ntitle: a\0b\n", "not valid YAML"),
        ("model: m\ntitle: 2026-13-45\n", "month must be in 1..12; fix that value"),
        ("model: m\ntitle: !!float abc\n", "fix that value"),
        ("model: " + "[" * 2000, "nested too deeply"),
    ],
)
def test_a_value_that_is_none_is_told_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UserError) as told:
        parse_policy(text, "f.yaml")
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_an_unknown_model_is_told_with_those_that_have_a_policy() -> None:
    with pytest.raises(UserError, match=r"did you mean railway-detector\?"):
        load_policy("railway-detecter")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the policy"):
        load_policy(str(tmp_path / "none.yaml"))


def test_the_documents_example_is_a_policy_and_its_table_has_every_kind() -> None:
    text = (REPOSITORY / "docs" / "policies.md").read_text(encoding="utf-8")
    policy = parse_policy(text.split("```yaml")[1].split("```")[0], "docs/policies.md")
    assert "approvals" in {gate.kind for gate in policy.gates_for(Stage.PRODUCTION)}
    for kind, keys in KINDS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{kind}` |")]
        told = "as `floor`" in row
        for key in keys.model_fields:
            assert key == "kind" or told or f"`{key}`" in row, (kind, key)
