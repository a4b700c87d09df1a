"""What is gathered of a version from a real store."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from mlops.errors import UnknownVersion
from mlops.store.client import connect
from mlops.store.names import entity_names
from registry.evidence.gated_metrics import LATENCY_TAG, PARITY_TAG, write_parity
from registry.evidence.gather import gather
from registry.evidence.latency import measure_onnx, measure_version
from registry.evidence.version_files import digests, version_files
from registry.gates.evidence_values import Parity
from registry.gates.judge import judge
from registry.ledger.entry import Stage
from registry.policies.policy import Policy, parse_policy
from tests.registry.onnx_model import write_onnx
from tests.registry.versions import CLASSES, Trained, answers, boxes, make_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

POLICY = """
model: cells
gates:
  Staging:
    - {kind: floor, metric: val/macro_f1, minimum: 0.8}
    - {kind: per class, metric: val/F1, minimum: 0.5}
    - {kind: per class, metric: test/F1, minimum: 0.5}
    - {kind: gap, of: train/accuracy, to: val/accuracy, at_most: 0.1}
    - {kind: data}
    - {kind: safe files}
  Production:
    - {kind: not worse, metric: macro_f1, margin: 0.01, draws: 300}
    - {kind: latency, p95_ms: 1000}
    - {kind: size, at_most_mb: 1}
    - {kind: parity, difference: 0.001, agreement: 1}
"""
BOX_POLICY = """
model: lines
gates:
  Staging:
    - {kind: floor, metric: test/recall@0.5, minimum: 0.5}
    - {kind: floor, metric: test/patch_F2@0.95, minimum: 0.5}
    - {kind: floor, metric: test/F1, minimum: 0.5}
  Production:
    - {kind: not worse, metric: mAP50, margin: 0.01, draws: 300}
    - {kind: not worse, metric: mAP50-95, margin: 0.01, draws: 300}
"""

CELLS = Trained(
    curves={
        "val/macro_f1": [0.7, 0.9, 0.85],
        "train/accuracy": [0.7, 0.93, 0.99],
        "val/accuracy": [0.71, 0.91, 0.9],
        "val/F1/mono": [0.6, 0.8, 0.7],
        "val/F1/neutro": [0.6, 0.95, 0.7],
        "val/F1/blast _big_": [0.6, 0.9, 0.7],
    },
    metrics={
        "best/epoch": 2,
        "best/val/macro_f1": 0.9,
        "best/val/accuracy": 0.91,
        "test/macro_f1": 0.89,
        "test/F1/mono": 0.8,
        "test/F1/neutro": 0.9,
        "test/F1/blast _big_": 0.85,
        "test/loss": float("nan"),
    },
    table=answers(0.9, 1),
)
ROW = {"severity": "warning", "code": "identical-across-splits", "file": "a", "line": None, "says": "b"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlflowClient, Path]:
    folder = tmp_path_factory.mktemp("store")
    return connect(f"sqlite:///{folder}/mlflow.db"), folder


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse_policy(POLICY, "cells.yaml")


@pytest.fixture(scope="module")
def cells(store: tuple[MlflowClient, Path]) -> str:
    return make_version(*store, "cells", CELLS)


def _made(store: tuple[MlflowClient, Path], **changes: object) -> str:
    return make_version(*store, "cells", replace(CELLS, **changes))  # type: ignore[arg-type]


def test_figures_are_those_of_the_weights_that_are_shipped(
    store: tuple[MlflowClient, Path], policy: Policy, cells: str
) -> None:
    metrics = gather(store[0], "cells", cells, policy, None).metrics
    assert metrics["val/macro_f1"] == 0.9
    assert metrics["train/accuracy"] == 0.93
    assert metrics["val/F1/mono"] == 0.8
    assert metrics["test/macro_f1"] == 0.89


def test_a_class_keeps_its_own_name_whatever_mlflow_makes_of_it(
    store: tuple[MlflowClient, Path], policy: Policy, cells: str
) -> None:
    evidence = gather(store[0], "cells", cells, policy, None)
    assert evidence.classes == CLASSES
    assert evidence.metrics["test/F1/blast (big)"] == 0.85
    assert evidence.metrics["val/F1/blast (big)"] == 0.9


def test_what_became_nan_is_left_out(store: tuple[MlflowClient, Path], policy: Policy, cells: str) -> None:
    assert "test/loss" not in gather(store[0], "cells", cells, policy, None).metrics


def test_a_good_version_passes_staging(store: tuple[MlflowClient, Path], policy: Policy, cells: str) -> None:
    evidence = gather(store[0], "cells", cells, policy, None)
    results = judge(policy.gates_for(Stage.STAGING), evidence)
    assert [result.says for result in results if result.passed is not True] == []
    assert (evidence.trained_by, evidence.licence, evidence.data.demo) == ("ann", "MIT", False)
    assert evidence.trainers == ("ann",)


def test_a_tag_changed_afterwards_does_not_hide_who_trained(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    made = make_version(*store, "hidden", Trained(user="ann", tags={"mlops.trained_by": "ann"}))
    run_id = store[0].get_model_version("hidden", made).run_id
    store[0].set_tag(str(run_id), "mlflow.user", "eve")
    assert gather(store[0], "hidden", made, policy, None).trainers == ("eve", "ann")


def test_gathering_twice_gives_the_same(store: tuple[MlflowClient, Path], policy: Policy, cells: str) -> None:
    first, second = (gather(store[0], "cells", cells, policy, None) for _ in range(2))
    assert first == second


def test_what_the_data_check_found_is_counted(store: tuple[MlflowClient, Path], policy: Policy) -> None:
    version = _made(store, faults=[ROW, ROW])
    data = gather(store[0], "cells", version, policy, None).data
    assert data.faults == {"warning/identical-across-splits": 2}


def test_a_study_without_a_check_is_not_one_without_faults(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    evidence = gather(store[0], "cells", _made(store, faults=None), policy, None)
    assert evidence.data.faults is None
    (data,) = [result for result in judge(policy.gates_for(Stage.STAGING), evidence) if result.gate == "data"]
    assert data.passed is None


def test_demo_data_are_told_by_the_tag(store: tuple[MlflowClient, Path], policy: Policy) -> None:
    assert gather(store[0], "cells", _made(store, tags={"mlops.demo": "true"}), policy, None).data.demo


@pytest.mark.parametrize(("right", "verdict"), [(0.99, "better"), (0.5, "worse")])
def test_a_version_is_compared_with_the_champion_on_the_same_pictures(
    store: tuple[MlflowClient, Path], policy: Policy, cells: str, right: float, verdict: str
) -> None:
    version = _made(store, table=answers(right, 2))
    evidence = gather(store[0], "cells", version, policy, cells)
    (compared,) = evidence.comparisons
    assert (evidence.champion, compared.champion, compared.samples) == (cells, cells, 400)
    assert compared.verdict == verdict


def test_other_pictures_are_not_compared(
    store: tuple[MlflowClient, Path], policy: Policy, cells: str
) -> None:
    version = _made(store, table=answers(0.9, 2, truth_seed=5))
    (compared,) = gather(store[0], "cells", version, policy, cells).comparisons
    assert compared.verdict == ""
    assert compared.problem.startswith("the versions were tested on different images")


def test_a_version_without_per_sample_results_says_so(
    store: tuple[MlflowClient, Path], policy: Policy, cells: str
) -> None:
    (compared,) = gather(store[0], "cells", _made(store, table=None), policy, cells).comparisons
    assert compared.problem == "this version has no per-sample test results"


def test_a_version_is_not_compared_with_itself(
    store: tuple[MlflowClient, Path], policy: Policy, cells: str
) -> None:
    evidence = gather(store[0], "cells", cells, policy, cells)
    assert (evidence.champion, evidence.comparisons) == ("", ())


def test_a_detectors_boxes_give_recall_and_patch_f2_at_a_threshold(store: tuple[MlflowClient, Path]) -> None:
    policy = parse_policy(BOX_POLICY, "lines.yaml")
    metrics = {"test/precision": 0.8, "test/recall": 0.6}
    good = make_version(*store, "lines", Trained(metrics=metrics, table=boxes(45)))
    fair = make_version(*store, "lines", Trained(metrics=metrics, table=boxes(30)))
    evidence = gather(store[0], "lines", fair, policy, good)
    assert evidence.metrics["test/recall@0.5"] == 0.5
    assert evidence.metrics["test/patch_F2@0.95"] == 0
    assert evidence.metrics["test/F1"] == pytest.approx(2 * 0.8 * 0.6 / 1.4)
    assert [(each.metric, each.verdict) for each in evidence.comparisons] == [
        ("mAP50", "worse"),
        ("mAP50-95", "worse"),
    ]


def test_the_latency_of_the_versions_own_file_is_measured_and_read(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    client, version = store[0], _made(store)
    measured = measure_version(client, "cells", version, calls=20, threads=1)
    evidence = gather(client, "cells", version, policy, None)
    assert evidence.latency == measured
    assert 0 < measured.p50_ms <= measured.p95_ms
    assert "core" in measured.device
    assert evidence.files is not None
    assert measured.onnx_digest == evidence.files["model.onnx"]


def test_a_latency_of_a_file_that_was_changed_since_does_not_count(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    client, version = store[0], _made(store)
    measure_version(client, "cells", version, calls=20, threads=1)
    with version_files(client, "cells", version) as folder:
        write_onnx(folder / "model.onnx", side=16)
    assert gather(client, "cells", version, policy, None).latency is None


@pytest.mark.parametrize(
    "odd",
    [{"p50_ms": 0}, {"p50_ms": -1}, {"p95_ms": math.nan}, {"p95_ms": "fast"}, {"device": 5}, {"calls": None}],
    ids=str,
)
def test_a_latency_tag_that_makes_no_sense_was_not_measured(
    store: tuple[MlflowClient, Path], policy: Policy, odd: dict[str, object]
) -> None:
    client, version = store[0], _made(store)
    held = asdict(measure_version(client, "cells", version, calls=20, threads=1))
    client.set_model_version_tag("cells", version, LATENCY_TAG, json.dumps({**held, **odd}))
    evidence = gather(client, "cells", version, policy, None)
    assert evidence.latency is None
    assert judge(policy.gates_for(Stage.PRODUCTION), evidence)


def test_tags_and_files_that_others_wrote_are_not_believed(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    tags = {PARITY_TAG: '[{"format": "onnx"}]', "mlops.class_map": "[5]"}
    evidence = gather(store[0], "cells", _made(store, tags=tags, faults=["none"]), policy, None)
    assert (evidence.parity, evidence.classes, evidence.data.faults) == ((), (), None)


def test_classes_may_have_any_name(store: tuple[MlflowClient, Path]) -> None:
    names = ("cell@0.5", "lens@2x", "a(b", "a)b", "größe/2", "..", "x" * 300)
    values = {f"{split}/F1/{name}": 0.9 for split in ("val", "test") for name in names}
    kept = entity_names([*values, *(f"best/{name}" for name in values)])
    figures = {kept[name]: value for name, value in values.items() if name.startswith("test/")}
    figures |= {kept[f"best/{name}"]: value for name, value in values.items() if name.startswith("val/")}
    tags = {"mlops.class_map": json.dumps(dict(enumerate(names)))}
    version = make_version(*store, "odd", Trained(metrics=figures, tags=tags, table=boxes(5)))
    asked = (
        "{kind: per class, metric: val/F1, minimum: 0.5}, {kind: per class, metric: test/F1, minimum: 0.5}"
    )
    policy = parse_policy(f"model: odd\ngates: {{Staging: [{asked}]}}", "odd.yaml")
    evidence = gather(store[0], "odd", version, policy, None)
    results = judge(policy.gates_for(Stage.STAGING), evidence)
    assert [result.passed for result in results] == [True, True], results


def test_a_champion_that_was_deleted_is_no_obstacle_to_judging(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    gone, version = _made(store), _made(store)
    store[0].delete_model_version("cells", gone)
    (compared,) = gather(store[0], "cells", version, policy, gone).comparisons
    assert compared.problem == "the champion has no per-sample test results"


def test_export_parity_is_read_back(store: tuple[MlflowClient, Path], policy: Policy) -> None:
    client, version = store[0], _made(store)
    with version_files(client, "cells", version) as folder:
        original = digests(folder)["model.onnx"]
    parity = Parity("onnx", 32, 1e-6, 1.0, "a" * 64, original)
    of_another_file = Parity("onnx-int8", 32, 1e-6, 1.0, "b" * 64, "c" * 64)
    write_parity(client, "cells", version, [parity, of_another_file])
    assert gather(client, "cells", version, policy, None).parity == (parity,)


def test_a_malicious_pickle_among_the_files_is_named(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    client, version = store[0], _made(store)
    with version_files(client, "cells", version) as folder:
        (folder / "extra.pkl").write_bytes(pickle.dumps(print))
    evidence = gather(client, "cells", version, policy, None)
    assert evidence.unsafe == ("extra.pkl: builtins.print",)


def test_a_version_whose_files_are_gone_is_judged_as_not_measured(
    store: tuple[MlflowClient, Path], policy: Policy
) -> None:
    client, version = store[0], _made(store)
    with version_files(client, "cells", version) as folder:
        for path in folder.iterdir():
            path.unlink()
    evidence = gather(client, "cells", version, policy, None)
    assert evidence.files is None
    with pytest.raises(UnknownVersion, match="are missing"):
        measure_version(client, "cells", version)


def test_an_unknown_version_or_model_is_told(store: tuple[MlflowClient, Path], policy: Policy) -> None:
    for model, version in (("cells", "999"), ("nothing", "1")):
        with pytest.raises(UnknownVersion, match=f"{model}/{version}"):
            gather(store[0], model, version, policy, None)


def test_a_file_that_is_no_model_cannot_be_timed(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UnknownVersion, match=r"model\.onnx cannot be run"):
        measure_onnx(tmp_path / "model.onnx")
    write_onnx(tmp_path / "free.onnx", side="side")
    with pytest.raises(UnknownVersion, match="only the batch size dynamic"):
        measure_onnx(tmp_path / "free.onnx")


def test_digests_are_of_every_file_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digests(tmp_path) == {"a/b": empty}


def test_answers_in_another_order_are_the_same(store: tuple[MlflowClient, Path], policy: Policy) -> None:
    name, rows = answers(0.9, 1)
    turned: pd.DataFrame = rows.iloc[::-1]
    first = _made(store, table=(name, rows))
    (compared,) = gather(store[0], "cells", _made(store, table=(name, turned)), policy, first).comparisons
    assert (compared.difference, compared.verdict) == (0, "not worse")
