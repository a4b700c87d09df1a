"""What is not exported, and what is said of it: one line, an exit code, and nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops.cli.main import run
from mlops.errors import DiskFull, GateRefused, MlopsError, UserError
from registry.evidence.gather import gather
from registry.export.formats.format_names import _FORMATS
from registry.ledger.entry import Stage
from registry.policies.policy import load_policy
from registry.stages.lifecycle import promote
from registry.stages.model_state import begin
from tests.registry.export.conftest import Export
from tests.registry.export.trained import CELLS, Template, register
from tests.registry.shelves import open_policy

if TYPE_CHECKING:
    from mlflow import MlflowClient

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(client: MlflowClient, working_directory: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Run `mlops export`; its exit code and the last line of what it says to a person."""

    def told(*arguments: str) -> tuple[int, str]:
        code = run(["export", *arguments])
        lines = capsys.readouterr().err.strip().splitlines()
        return code, lines[-1] if lines else ""

    return told


def _nothing_left(folder: Path) -> bool:
    return not [path.name for path in folder.iterdir() if "bundle" in path.name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody/1",), "nobody"),
        ((f"{CELLS}/7",), "7"),
        ((f"{CELLS}@production",), f"{CELLS} has no alias @production"),
        ((f"{CELLS}/1", "--format", "onxn"), "did you mean onnx?"),
        ((f"{CELLS}/1", "--precision", "int4"), "fp32, fp16, int8"),
        ((), "give MODEL/VERSION"),
        (("--isolated",), "--verify DIR"),
        (("--verify", "nowhere"), "nowhere is not a folder"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    said: Said, cells_version: str, working_directory: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, line = said(*arguments)
    assert code == 2
    assert says in line
    assert not (working_directory / "export").exists()


def test_nothing_is_written_over(said: Said, cells_version: str, working_directory: Path) -> None:
    (working_directory / "bundle").mkdir()
    (working_directory / "bundle" / "mine.txt").write_text("mine")
    code, line = said(cells_version, "--out", "bundle")
    assert code == 2
    assert "bundle already exists" in line
    assert [path.name for path in (working_directory / "bundle").iterdir()] == ["mine.txt"]


def test_a_version_whose_files_are_gone(said: Said, cells_version: str, working_directory: Path) -> None:
    for file in working_directory.glob("model-*/*"):
        file.rename(working_directory / file.name) if file.is_file() else None
    for file in working_directory.glob("model-*"):
        file.rename(working_directory / "elsewhere")
    code, line = said(cells_version, "--out", "bundle")
    assert code == 2
    assert "are missing" in line
    assert _nothing_left(working_directory)


def test_a_file_that_training_did_not_make(said: Said, cells_version: str, working_directory: Path) -> None:
    (file,) = working_directory.glob("model-*/model.onnx")
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    file.write_bytes(held)
    code, line = said(cells_version, "--out", "bundle")
    assert code == 3
    assert "model.onnx was changed after training" in line
    assert _nothing_left(working_directory)


def test_weights_that_training_did_not_make(
    export: Export, cells_version: str, working_directory: Path
) -> None:
    (weights,) = (working_directory / "artifacts").rglob("best.safetensors")
    held = bytearray(weights.read_bytes())
    held[-1] ^= 1
    weights.write_bytes(held)
    with pytest.raises(GateRefused, match=r"best\.safetensors was changed after training"):
        export(cells_version)
    assert _nothing_left(working_directory)


def test_a_file_changed_since_the_ledger_recorded_it(
    export: Export, cells_version: str, client: MlflowClient, working_directory: Path
) -> None:
    number = cells_version.rpartition("/")[2]
    promote(begin(client, CELLS, open_policy(CELLS)), number, Stage.STAGING)
    (described,) = working_directory.glob("model-*/MLmodel")
    described.write_text(described.read_text() + "\n")
    with pytest.raises(GateRefused, match=r"changed since the ledger recorded them.*MLmodel"):
        export(cells_version)


def test_other_data_than_the_versions(
    export: Export, cells_version: str, tmp_path: Path, working_directory: Path
) -> None:
    from mlops.data import demo_dataset

    other = demo_dataset(CELLS, tmp_path / "other", seed=3, size="tiny")
    with pytest.raises(UserError, match=r"is not the version's training data: .* with --data"):
        export(cells_version, data=(str(other),))
    assert _nothing_left(working_directory)


def test_data_that_are_gone_are_asked_for(
    export: Export, client: MlflowClient, working_directory: Path, cells: Template, tmp_path: Path
) -> None:
    import dataclasses

    moved = dataclasses.replace(cells, data=tmp_path / "was" / "here")
    name = register(client, working_directory, moved, {"mlops.demo": "false"})
    with pytest.raises(
        UserError, match=r"cannot read the version's training data: .* pass the version's data with --data"
    ):
        export(name)
    assert export(name, data=(str(cells.data),)).bundle


def test_a_file_that_is_not_as_the_original_fails_and_is_left_out(
    said: Said,
    export: Export,
    cells_version: str,
    client: MlflowClient,
    working_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(_FORMATS, "onnx", ("tests.registry.export.broken", "Broken"))
    found = export(cells_version, formats="onnx,torchscript")
    broken, sound = found.certificate.files
    assert broken.status == "failed"
    assert "differs by" in broken.reason
    assert sound.status == "passed"
    assert not list((working_directory / "bundle").glob("*.onnx"))
    kept = json.loads(client.get_model_version(CELLS, "1").tags["mlops.parity"])
    assert kept[0]["difference"] == broken.parity.difference
    assert kept[0]["passed"] is False  # and no gate will pass by it
    code, line = said(cells_version, "--out", "bundle2", "--calls", "5")
    assert code == 3
    assert "differ from the original, not in the bundle: onnx" in line
    assert not (working_directory / "bundle2").exists()


def test_a_conversion_that_breaks_leaves_nothing_half_and_the_others_go_on(
    export: Export, cells_version: str, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_FORMATS, "torchscript", ("tests.registry.export.broken", "HalfMade"))
    sound, broken = export(cells_version, formats="onnx,torchscript").certificate.files
    assert (sound.status, broken.status) == ("passed", "not made")
    assert broken.reason == "the conversion failed: no such operator"
    assert not list((working_directory / "bundle").rglob("half*"))


def test_an_alias_that_the_ledger_knows_nothing_of(
    said: Said, cells_version: str, client: MlflowClient, working_directory: Path
) -> None:
    client.set_registered_model_alias(CELLS, "production", cells_version.rpartition("/")[2])
    code, line = said(f"{CELLS}@production", "--out", "bundle")
    assert code == 3
    assert "has the alias @production but is not in Production by the ledger" in line
    assert _nothing_left(working_directory)


@pytest.mark.parametrize("swapped", [True, False], ids=["other classes", "no JSON"])
def test_a_tag_that_says_otherwise_than_the_files(
    said: Said, cells_version: str, client: MlflowClient, working_directory: Path, swapped: bool
) -> None:
    number = cells_version.rpartition("/")[2]
    told = json.loads(client.get_model_version(CELLS, number).tags["mlops.preprocessing"])
    other = json.dumps({**told, "classes": told["classes"][::-1]}) if swapped else "{"
    client.set_model_version_tag(CELLS, number, "mlops.preprocessing", other)
    code, line = said(cells_version, "--out", "bundle")
    assert code == 3
    assert "its tag mlops.preprocessing differs from" in line
    assert _nothing_left(working_directory)


def test_a_class_that_was_taken_out_of_the_tag_is_judged_all_the_same(
    cells_version: str, client: MlflowClient, cells: Template
) -> None:
    number = cells_version.rpartition("/")[2]
    client.set_model_version_tag(CELLS, number, "mlops.class_map", json.dumps({"0": cells.classes[0]}))
    assert set(gather(client, CELLS, number, load_policy(CELLS), None).classes) == set(cells.classes)


def test_a_format_that_cannot_be_had_here_is_never_told_as_passed(
    said: Said, cells_version: str, working_directory: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("TensorRT may run here")
    code, line = said(cells_version, "--format", "onnx,tensorrt", "--out", "bundle", "--calls", "5")
    assert code == 1
    assert "could not be written or run here: tensorrt" in line
    assert (working_directory / "bundle" / "model.onnx").is_file()  # what could be made is there


def test_a_server_that_goes_away_leaves_no_bundle(
    export: Export, cells_version: str, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops.errors import ServerUnavailable
    from registry.export import export as running

    def away(*given: object) -> None:
        raise ServerUnavailable("the server does not answer")

    monkeypatch.setattr(running, "log", away)
    with pytest.raises(MlopsError):
        export(cells_version)
    assert _nothing_left(working_directory)


def test_a_full_disk_ends_in_an_error_and_not_in_the_death_of_the_process(tmp_path: Path) -> None:
    """torch's own way of writing a file calls `abort` when the file cannot be ended."""
    import resource

    import torch

    from registry.export.formats.contract import Original, Precision
    from registry.export.formats.torchscript import TorchScriptFormat

    network = torch.nn.Conv2d(3, 64, 8)
    source = Original("m/1", tmp_path / "model.onnx", {"side": 8}, network, "", lambda: iter(()), 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError):
            TorchScriptFormat().make(source, Precision.FP32, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_a_bundle_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    import errno

    from registry.export.bundle.bundle_folder import workplace

    with pytest.raises(DiskFull, match=r"no space left in .* for the bundle"), workplace(tmp_path / "bundle"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert _nothing_left(tmp_path)
