"""Weights that would run code are refused by every command that is given them; none of it runs."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.errors import UserError
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.resume import DetectorFiles, look_back
from mlops.training.detection.ultralytics_library import settle
from mlops.training.training_record import DoneEpoch, Record, write_record
from tests.command import Shell
from tests.training.detection_case import tiny_recipe
from tests.training.test_checkpoint_reader import OPCODES, archive, calls, network, text

METADATA = ("epoch", "best_fitness", "ema", "updates", "optimizer", "scaler", "stopper", "modelopt")
METADATA += ("train_args", "train_metrics", "train_results", "date", "version", "git", "license", "docs")
ATTRIBUTES = ("names", "args", "stride", "save", "criterion", "_forward_hooks")


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self.folder),)


def whole(**more: object) -> dict[str, object]:
    return {"model": network(), "ema": None, "epoch": -1, "optimizer": None, "train_args": {}, **more}


def in_metadata(key: str) -> Callable[[Path, Path], None]:
    return lambda file, canary: torch.save(whole(**{key: Malicious(canary)}), file)


def in_attribute(name: str) -> Callable[[Path, Path], None]:
    def write(file: Path, canary: Path) -> None:
        held = network()
        vars(held)[name] = Malicious(canary)
        torch.save(whole(model=held), file)

    return write


def by_opcode(opcode: str) -> Callable[[Path, Path], None]:
    def write(file: Path, canary: Path) -> None:
        content = b"\x80\x02}" + text("model") + calls(canary)[opcode].removesuffix(b".") + b"s."
        archive(file, content)

    return write


def zip_in_a_zip(file: Path, canary: Path) -> None:
    inner = archive(file.with_suffix(".inner"), pickle.dumps(Malicious(canary)))
    with zipfile.ZipFile(file, "w") as made:
        made.write(inner, "archive/data.pkl")


def two_pickles_of_one_name(file: Path, canary: Path) -> None:
    harmless, harmful = pickle.dumps({"model": 1}, protocol=2), pickle.dumps(Malicious(canary), protocol=2)
    with zipfile.ZipFile(file, "w") as made, pytest.warns(UserWarning, match="Duplicate name"):
        for content in (harmless, harmful):
            made.writestr("archive/data.pkl", content)


def old_tar(file: Path, canary: Path) -> None:
    with tarfile.open(file, "w") as made:
        content = pickle.dumps(Malicious(canary))
        entry = tarfile.TarInfo("pickle")
        entry.size = len(content)
        made.addfile(entry, io.BytesIO(content))


def old_torch(file: Path, canary: Path) -> None:
    torch.save({"model": Malicious(canary)}, file, _use_new_zipfile_serialization=False)


def script(file: Path, canary: Path) -> None:
    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    torch.jit.script(Twice()).save(str(file))


def a_layer_that_fills_memory(file: Path, canary: Path) -> None:
    held = network()
    held.yaml["backbone"] = [[-1, 1, "Conv", [60_000, 3]], [-1, 1, "Conv", [60_000, 3]]]
    held.yaml["scales"] = {"n": [1, 1, 65536]}
    torch.save(whole(model=held), file)


def an_expression(file: Path, canary: Path) -> None:
    held = network()
    held.yaml["activation"] = f"__import__('os').mkdir({str(canary)!r})"
    torch.save(whole(model=held), file)


WAYS: dict[str, Callable[[Path, Path], None]] = {
    **{f"opcode {opcode}": by_opcode(opcode) for opcode in OPCODES},
    **{f"metadata {key}": in_metadata(key) for key in METADATA},
    **{f"attribute {name}": in_attribute(name) for name in ATTRIBUTES},
    **{way.__name__: way for way in (zip_in_a_zip, two_pickles_of_one_name, old_tar, old_torch, script)},
    **{way.__name__: way for way in (a_layer_that_fills_memory, an_expression)},
}


@pytest.fixture(autouse=True)
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settle(tmp_path / "cache")


@pytest.mark.parametrize("way", WAYS)
def test_they_are_refused_before_a_training_starts(tmp_path: Path, way: str) -> None:
    canary, file = tmp_path / "canary", tmp_path / "best.pt"
    WAYS[way](file, canary)
    recipe = tiny_recipe(weights=str(file))
    with pytest.raises(UserError, match=r"best\.pt") as refused:
        DetectionTrainer().check(recipe, device="cpu", cache=tmp_path / "cache")
    assert refused.value.exit_code == 2 and "\n" not in str(refused.value)
    assert not canary.exists()


@pytest.mark.parametrize("way", ["opcode STACK_GLOBAL", "metadata git", "a_layer_that_fills_memory"])
def test_train_refuses_them_in_one_line(shell: Shell, way: str) -> None:
    canary = shell.folder / "canary"
    WAYS[way](shell.folder / "best.pt", canary)
    answer = shell.run("train", "railway-detector", "--set", "weights=best.pt")
    assert answer.returncode == 2 and "Traceback" not in answer.stderr
    assert "best.pt" in answer.stderr.splitlines()[-1]
    assert not canary.exists()
    assert not (shell.folder / "mlflow.db").exists(), "nothing is written for a command that could not start"


@pytest.mark.parametrize(
    "way", ["opcode REDUCE", "metadata optimizer", "attribute criterion", "zip_in_a_zip"]
)
def test_an_interrupted_training_does_not_run_them(tmp_path: Path, way: str) -> None:
    """Of an earlier release, whose state is a checkpoint of torch."""
    places, canary = DetectorFiles(tmp_path / "trial"), tmp_path / "canary"
    last = places.last.with_suffix(".pt")
    last.parent.mkdir(parents=True)
    WAYS[way](last, canary)
    write_record(places.record, Record("me", epochs=(DoneEpoch(1, {}, 1.0, 8, 0.5),)))
    found = look_back(places, "me")
    assert not canary.exists()
    assert found.checkpoint is None and found.record.epochs == ()


def test_a_state_that_is_no_safetensors_file_is_not_opened_as_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places, canary = DetectorFiles(tmp_path / "trial"), tmp_path / "canary"
    places.out_dir.mkdir()
    torch.save({"model": Malicious(canary)}, places.state)
    write_record(places.record, Record("me", epochs=(DoneEpoch(1, {}, 1.0, 8, 0.5),)))
    assert look_back(places, "me").checkpoint is None
    assert "damaged" in caplog.text and not canary.exists()
