"""Export a classifier: what lies in the bundle, what is certified of it, and what gates read of that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlops.prediction.onnx_model import open_onnx
from registry.evidence.gated_metrics import write_parity
from registry.evidence.gather import gather
from registry.export.bundle.bundle_folder import verify
from registry.export.bundle.isolated import difference, run_isolated, run_script
from registry.export.proof.certificate import Status
from registry.gates.judge import judge
from registry.policies.policy import load_policy, parse_policy
from tests.registry.export.conftest import Export
from tests.registry.export.trained import CELLS, Template

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture
def bundle(export: Export, cells_version: str, working_directory: Path) -> Path:
    assert not export(cells_version).failed
    return working_directory / "bundle"


def test_the_exported_file_answers_as_the_version_and_says_itself_what_to_do_to_a_picture(
    bundle: Path, cells: Template
) -> None:
    picture = bundle / "check.png"
    own = open_onnx(bundle / "model.onnx", threads=1)
    original = open_onnx(cells.serving.onnx, cells.serving.preprocessing, threads=1)
    assert own.classes == cells.classes
    np.testing.assert_array_equal(own.probabilities([picture]), original.probabilities([picture]))


def test_the_script_in_the_bundle_says_what_the_version_says(bundle: Path, cells: Template) -> None:
    original = open_onnx(cells.serving.onnx, cells.serving.preprocessing, threads=1)
    probable = original.probabilities([bundle / "check.png"])[0]
    said = dict(line.split("\t") for line in run_script(bundle).splitlines())
    assert list(said) == [cells.classes[index] for index in np.argsort(-probable)]
    assert {name: float(value) for name, value in said.items()} == pytest.approx(
        dict(zip(cells.classes, probable.tolist(), strict=True)), abs=1e-4
    )


def test_the_manifest_says_where_everything_comes_from(
    bundle: Path, client: MlflowClient, cells_version: str, cells: Template
) -> None:
    said = json.loads((bundle / "manifest.json").read_text())
    version = client.get_model_version(CELLS, cells_version.rpartition("/")[2])
    assert said["licence"] == "AGPL-3.0-or-later"
    assert said["classes"] == list(cells.classes)
    assert said["provenance"]["run_id"] == version.run_id
    assert said["provenance"]["data_digest"] == cells.digest
    assert said["provenance"]["code_commit"] == "0" * 40
    assert said["provenance"]["trained_by"] == "ann"
    assert "registered version 1 late" in said["provenance"]["ledger"]["says"]
    assert said["provenance"]["registered"]["late"] is True


def test_production_asks_for_the_parity_and_finds_it(
    bundle: Path, client: MlflowClient, cells_version: str
) -> None:
    number = cells_version.rpartition("/")[2]
    policy = load_policy(CELLS)
    evidence = gather(client, CELLS, number, policy, None)
    gates = [gate for gate in policy.gates[list(policy.gates)[-1]] if gate.kind == "parity"]
    (result,) = judge(gates, evidence)
    assert result.passed, result.says
    assert evidence.parity[0].pictures == 40


def test_a_later_export_of_another_format_keeps_the_parities_of_the_first(
    bundle: Path, client: MlflowClient, cells_version: str, export: Export
) -> None:
    bundle.rename(bundle.with_name("first"))
    export(cells_version, formats="torchscript")
    number = cells_version.rpartition("/")[2]
    evidence = gather(client, CELLS, number, parse_policy("model: m\ngates: {}", "m"), None)
    assert [each.format for each in evidence.parity] == ["onnx", "torchscript"]


def test_the_certificate_is_kept_with_the_run(
    bundle: Path, client: MlflowClient, cells_version: str, tmp_path: Path
) -> None:
    run = client.get_model_version(CELLS, cells_version.rpartition("/")[2]).run_id
    names = {item.path for item in client.list_artifacts(run, "export")}
    assert names == {
        "export/certificate.json",
        "export/certificate.md",
        "export/manifest.json",
        "export/SHA256SUMS",
    }
    kept = client.download_artifacts(run, "export/certificate.json", str(tmp_path))
    assert Path(kept).read_bytes() == (bundle / "certificate.json").read_bytes()


def test_smaller_files_tell_what_they_cost(export: Export, cells_version: str) -> None:
    files = {file.key: file for file in export(cells_version, precisions="fp32,fp16,int8").certificate.files}
    assert {key: file.status for key, file in files.items()} == dict.fromkeys(
        ("onnx", "onnx-fp16", "onnx-int8"), Status.PASSED
    )
    sizes = [files[key].size_bytes for key in ("onnx", "onnx-fp16", "onnx-int8")]
    assert sizes[0] > 1.8 * sizes[1] > 1.8 * 1.4 * sizes[2]
    assert files["onnx"].parity.difference < 1e-5
    assert 0 < files["onnx-int8"].parity.difference < 0.5
    assert files["onnx-int8"].parity.agreement > 0.97
    assert all(file.speed and 0 < file.speed.p50_ms <= file.speed.p95_ms for file in files.values())


def test_every_format_is_made_and_run_or_says_why_not(
    export: Export, cells_version: str, working_directory: Path
) -> None:
    found = export(cells_version, formats="onnx,torchscript,openvino,coreml,tensorrt")
    files = {file.format: file for file in found.certificate.files}
    assert files["onnx"].status is files["torchscript"].status is Status.PASSED
    for name, library in (("openvino", "openvino"), ("coreml", "coremltools"), ("tensorrt", "tensorrt")):
        file = files[name]
        assert file.status is Status.PASSED or file.reason
        assert file.status is not Status.FAILED, file.reason
        assert file.status is not Status.NOT_MADE or "is" in file.reason, library
    for file in found.certificate.files:
        for name in file.files:
            assert (working_directory / "bundle" / name).is_file()
    assert verify(working_directory / "bundle").well


def test_an_export_without_the_weights_is_held_against_the_versions_own_file(
    export: Export, cells_version: str, working_directory: Path
) -> None:
    for weights in (working_directory / "artifacts").rglob("best.safetensors"):
        weights.unlink()
    found = export(cells_version, formats="onnx,torchscript")
    onnx, torchscript = found.certificate.files
    assert onnx.status is Status.PASSED
    assert "own ONNX file" in found.certificate.original
    assert torchscript.status is Status.NOT_MADE
    assert "has no best.safetensors" in torchscript.reason


def test_a_parity_of_another_file_than_the_versions_does_not_count(
    bundle: Path, client: MlflowClient, cells_version: str
) -> None:
    number = cells_version.rpartition("/")[2]
    policy = load_policy(CELLS)
    (own,) = gather(client, CELLS, number, policy, None).parity
    write_parity(client, CELLS, number, [replace(own, original="f" * 64)])
    assert gather(client, CELLS, number, policy, None).parity == ()


@pytest.mark.slow
def test_the_bundle_predicts_where_nothing_else_is_installed(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    said = run_isolated(bundle, manifest)
    assert not difference(manifest["check"]["says"], said)
    assert verify(bundle).well  # nothing was left behind
