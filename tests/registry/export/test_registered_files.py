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
from registry.ledger.entry import Action
from registry.ledger.log import read
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
    with pytest.raises(GateRefused, match=r"files of its run changed .*: weights/best\.pt"):
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
    from registry.stages.late_registration import file_digests

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
