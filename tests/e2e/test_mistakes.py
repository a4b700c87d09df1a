"""A user's mistake is one line that says what to do, exit code 2, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.command import Shell, tiny


def mistake(shell: Shell, *arguments: str) -> str:
    """The one line that a mistaken command prints."""
    answer = shell.run(*arguments, timeout_s=120)
    assert answer.returncode == 2, f"{answer.returncode}\n{answer.stdout}\n{answer.stderr}"
    assert "Traceback" not in answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line.strip()]
    assert not (shell.folder / "mlflow.db").exists(), "nothing is written for a command that could not start"
    return lines[-1]


def test_an_unknown_system_names_the_five(shell: Shell) -> None:
    said = mistake(shell, "train", "railway-detecter")
    assert "railway-detector" in said


def test_missing_data_names_the_path(shell: Shell) -> None:
    assert "nowhere" in mistake(shell, "train", "blood-cell-classifier", "--data", "nowhere", *tiny())


def test_a_broken_data_yaml_is_named_with_its_line(shell: Shell) -> None:
    (shell.folder / "data.yaml").write_text("train: [images\nnames: {0: a")
    assert "data.yaml" in mistake(
        shell, "train", "railway-detector", "--data", "data.yaml", "--set", "weights=none"
    )


def test_an_empty_split_is_said(shell: Shell) -> None:
    for split in ("train", "val"):
        (shell.folder / "cells" / split / "lymphocyte").mkdir(parents=True)
    for i in range(4):
        picture = Image.new("RGB", (32, 32), (60 * i, 100, 200 - 40 * i))
        picture.save(shell.folder / "cells" / "train" / "lymphocyte" / f"{i}.png")
    assert "val" in mistake(shell, "train", "blood-cell-classifier", "--data", "cells", *tiny())


def test_an_unknown_setting_suggests_the_right_one(shell: Shell) -> None:
    assert "mosaic" in mistake(shell, "train", "railway-detector", "--set", "mosiac=0.5")


def test_a_value_out_of_range_says_what_is_allowed(shell: Shell, tiny_cells: Path) -> None:
    said = mistake(shell, "train", "blood-cell-classifier", "--data", str(tiny_cells), "--set", "epochs=0")
    assert "epochs" in said and "1" in said


def test_weights_that_are_not_there_name_the_flag(shell: Shell, tiny_cells: Path) -> None:
    said = mistake(
        shell,
        "train",
        "blood-cell-classifier",
        "--data",
        str(tiny_cells),
        *tiny(),
        "--set",
        "weights=gone.safetensors",
    )
    assert "gone.safetensors" in said


def test_a_device_that_is_not_there_is_said(shell: Shell, tiny_cells: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    said = mistake(
        shell, "train", "blood-cell-classifier", "--data", str(tiny_cells), *tiny(), "--device", "cuda"
    )
    assert "cuda" in said


def test_a_home_that_cannot_be_written_is_named(shell: Shell, tiny_cells: Path) -> None:
    (shell.folder / ".mlops").write_text("a file where the folder should be")
    answer = shell.run("train", "blood-cell-classifier", "--data", str(tiny_cells), *tiny())
    assert answer.returncode == 2
    assert ".mlops" in answer.stderr and "Traceback" not in answer.stderr


def expression(canary: Path) -> str:
    return f"__import__('os').mkdir({str(canary)!r})"


def test_an_expression_in_a_model_yaml_is_refused_and_not_run(shell: Shell) -> None:
    canary = shell.folder / "canary"
    rows = "backbone: [[-1, 1, Conv, [16, 3, 2]]]\nhead: [[[-1], 1, Detect, [nc]]]\n"
    (shell.folder / "net.yaml").write_text(f"nc: 1\nactivation: {expression(canary)}\n{rows}")
    said = mistake(shell, "train", "railway-detector", "--set", "model=net.yaml", "--set", "weights=none")
    assert "net.yaml" in said and "activation" in said
    assert not canary.exists()


def test_an_expression_in_a_checkpoint_is_refused_and_not_run(shell: Shell) -> None:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    canary = shell.folder / "canary"
    network = DetectionModel("yolo11n.yaml", verbose=False)
    network.yaml["activation"] = expression(canary)
    torch.save({"model": network, "epoch": -1, "train_args": {}}, shell.folder / "best.pt")
    said = mistake(shell, "train", "railway-detector", "--set", "weights=best.pt")
    assert "best.pt" in said and "activation" in said
    assert not canary.exists()
