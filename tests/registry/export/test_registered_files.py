"""A version's files are held against its first ledger entry, whatever was changed together with them."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import torch

from mlops.cli.main import run
from mlops.errors import GateRefused
from mlops.files.digests import sha256_of
from registry.evidence.latency import measure_version
from registry.evidence.version_files import file_digests
from registry.ledger.entry import Action
from registry.ledger.log import read
from registry.ledger.registration import Registration, origin_of, register
from registry.ledger.registration_check import run_file_digests
from registry.stages.late_registration import register_late
from registry.stages.verify import verify
from tests.registry.export.conftest import Export
from tests.registry.export.trained import CELLS, LINES

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self.folder),)


def change_onnx(client: MlflowClient, version: str) -> None:
    """As an attacker with EDIT does: the file, and the tag with its digest."""
    model, number = version.split("/")
    found = client.get_model_version(model, number)
    file = Path(found.source.removeprefix("file://")) / "model.onnx"
    held = onnx.load(str(file))
    held.doc_string = "another one"
    onnx.save(held, str(file))
    client.set_model_version_tag(model, number, "mlops.onnx_digest", sha256_of(file))


def change_weights(client: MlflowClient, version: str, folder: Path) -> None:
    model, number = version.split("/")
    (weights,) = (folder / "artifacts").rglob("weights/best.*")
    weights.write_bytes(pickle.dumps({"model": Harmful(folder / "canary")}))
    client.set_model_version_tag(model, number, "mlops.weights_digest", sha256_of(weights))


def test_an_onnx_file_changed_with_its_tag_is_not_exported(
    export: Export, lines_version: str, client: MlflowClient, working_directory: Path
) -> None:
    register_late(client, LINES)
    change_onnx(client, lines_version)
    with pytest.raises(GateRefused, match=r"not exported: files changed since the ledger .*model\.onnx"):
        export(lines_version)
    with pytest.raises(GateRefused, match=r"not measured: files changed since the ledger .*model\.onnx"):
        measure_version(client, *lines_version.split("/"))
    assert not (working_directory / "bundle").exists()


def test_weights_changed_with_their_tag_are_not_exported(
    export: Export, lines_version: str, client: MlflowClient, working_directory: Path
) -> None:
    register_late(client, LINES)
    change_weights(client, lines_version, working_directory)
    with pytest.raises(GateRefused, match=r"changed since it was registered: .*weights/best\.pt"):
        export(lines_version)
    assert not (working_directory / "canary").exists()
    (fault,) = verify(client, LINES).faults
    assert "weights/best.pt" in fault.says


def test_evaluate_and_measure_do_not_open_weights(
    lines_version: str, client: MlflowClient, working_directory: Path
) -> None:
    change_weights(client, lines_version, working_directory)
    assert run(["registry", "measure", *lines_version.split("/"), "--calls", "20"]) == 0
    assert run(["evaluate", lines_version, "--examples", "0"]) == 0
    assert not (working_directory / "canary").exists()


def test_an_onnx_file_changed_with_its_tag_is_not_evaluated(
    lines_version: str, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    register_late(client, LINES)
    change_onnx(client, lines_version)
    assert run(["evaluate", lines_version]) == 3
    assert "not evaluated: files changed since the ledger" in capsys.readouterr().err


def test_an_export_opens_no_pickle(
    export: Export, lines_version: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an earlier release's weights, too: another process converts them."""
    export(lines_version)
    shutil.rmtree("bundle")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was opened"))
    assert export(lines_version, "onnx,torchscript").failed == ()


def test_a_version_from_before_is_recorded_late_and_once(
    export: Export, cells_version: str, client: MlflowClient
) -> None:
    exported = export(cells_version)
    (entry,) = read(CELLS, client)
    assert entry.action is Action.REGISTER and entry.origin["late"] == "true"
    assert set(entry.file_digests) >= {"MLmodel", "model.onnx"}
    assert list(entry.run_file_digests) == ["weights/best.safetensors"]
    assert entry.origin["data_digest"] and entry.origin["run_id"] == exported.run_id
    assert register_late(client, CELLS) == ()
    assert verify(client, CELLS).well


def test_a_second_registration_does_not_count(
    export: Export, lines_version: str, client: MlflowClient
) -> None:
    """Whoever changes the files may append an entry with their digests."""
    from dataclasses import replace

    from registry.ledger.log import append, read_chain

    register_late(client, LINES)
    change_onnx(client, lines_version)
    chain = read_chain(client, LINES)
    first = chain.entries[0]
    files = file_digests(client, *lines_version.split("/"))
    append(client, replace(first, sequence=2, previous=chain.head, uid="f" * 32, file_digests=files))
    with pytest.raises(GateRefused, match="files changed since the ledger"):
        export(lines_version)
    assert any("registers version" in fault.says for fault in verify(client, LINES).faults)


def test_a_comparison_over_no_box_shows_nothing(
    export: Export, lines_version: str, monkeypatch: pytest.MonkeyPatch, working_directory: Path
) -> None:
    import numpy as np

    from mlops.prediction.onnx_model import PredictedBoxes, Predictor
    from registry.export.proof.certificate import Status

    none = PredictedBoxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    monkeypatch.setattr(Predictor, "boxes", lambda _, pictures, **__: [none for _ in pictures])
    exported = export(lines_version)
    (file,) = exported.certificate.files
    assert file.status is Status.NOT_SHOWN and "no box is predicted" in file.reason
    assert exported.not_shown == (file,) and exported.bundle == ""
    assert not (working_directory / "bundle").exists()


@pytest.fixture
def registered(lines_version: str, client: MlflowClient, working_directory: Path) -> str:
    """A version that training has registered, with a test metric; its run has no test table."""
    model, number = lines_version.split("/")
    found = client.get_model_version(model, number)
    client.log_metric(found.run_id, "test/mAP50", 0.4)
    files = file_digests(client, model, number)
    weights = run_file_digests(client, found.run_id, ["weights/best.pt"])
    origin = origin_of(found.run_id, found.tags, {"test/mAP50": 0.4})
    register(client, model, number, Registration(files, weights, origin), "u")
    return lines_version


def other_data(client: MlflowClient, version: str) -> None:
    client.set_model_version_tag(*version.split("/"), "mlops.dataset_digest", "f" * 64)


def other_licence(client: MlflowClient, version: str) -> None:
    client.set_model_version_tag(*version.split("/"), "mlops.licence", "MIT")


def better_metric(client: MlflowClient, version: str) -> None:
    client.log_metric(client.get_model_version(*version.split("/")).run_id, "test/mAP50", 0.99)


CHANGES = {
    "data digest": other_data,
    "licence": other_licence,
    "test/mAP50": better_metric,
}


@pytest.mark.parametrize("changed", CHANGES)
def test_what_a_version_comes_from_is_held_against_its_registration(
    registered: str, client: MlflowClient, changed: str, capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    CHANGES[changed](client, registered)
    model, number = registered.split("/")
    said = f"was changed since it was registered: {changed}"
    assert run(["registry", "promote", model, number, "--to", "staging", "--policy", policy]) == 3
    assert said in capsys.readouterr().err
    assert run(["registry", "approve", model, number, "--for", "staging", "--policy", policy]) == 3
    assert said in capsys.readouterr().err
    assert run(["evaluate", registered]) == 3
    assert said in capsys.readouterr().err
    assert any(said in fault.says for fault in verify(client, model).faults)


@pytest.fixture
def policy(working_directory: Path) -> str:
    file = working_directory / "open.yaml"
    file.write_text(f"model: {LINES}\ngates: {{}}\n")
    return str(file)


def test_a_version_whose_run_was_swapped_is_refused(
    registered: str, client: MlflowClient, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Deleted and made again under its number, with another run."""
    model, number = registered.split("/")
    found = client.get_model_version(model, number)
    other = client.create_run(client.get_run(found.run_id).info.experiment_id).info.run_id
    client.rename_registered_model(model, "elsewhere")
    client.create_registered_model(model)
    client.create_model_version(model, found.source, run_id=other, tags=found.tags)
    assert run(["registry", "promote", model, "1", "--to", "staging", "--policy", policy]) == 3
    assert "run id" in capsys.readouterr().err


def test_an_override_does_not_bless_changed_files(
    registered: str, client: MlflowClient, policy: str, export: Export
) -> None:
    change_onnx(client, registered)
    model, number = registered.split("/")
    move = ["registry", "promote", model, number, "--policy", policy, "--to"]
    assert run([*move, "staging", "--override-reason", "an emergency"]) == 0
    assert run([*move, "production"]) == 3
    with pytest.raises(GateRefused, match=r"changed since it was registered: model\.onnx"):
        export(registered)


def test_evidence_that_training_did_not_record_does_not_count(
    registered: str, client: MlflowClient, working_directory: Path
) -> None:
    from registry.evidence.gather import gather
    from registry.policies.policy import load_policy

    model, number = registered.split("/")
    run_id = client.get_model_version(model, number).run_id
    client.log_text(run_id, "[]", "data/data_faults.json")
    found = gather(client, model, number, load_policy(LINES), None, read(model, client))
    assert found.data.faults is None
    assert gather(client, model, number, load_policy(LINES), None).data.faults == {}
