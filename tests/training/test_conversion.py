"""Checkpoints are converted in a process of their own, which has limits and no credentials."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.errors import UnsafeWeights
from mlops.training import conversion
from mlops.training.conversion import convert, converted
from mlops.training.detection.recorded_network import write_recorded
from tests.command import REPOSITORY
from tests.training.test_checkpoint_reader import network


@pytest.fixture(autouse=True)
def found_by_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({"port": 0}, tmp_path / "best.pt")
    return tmp_path / "best.pt"


def tell_the_environment(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    target.write_text(json.dumps(dict(os.environ)))


def take_memory(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    target.write_bytes(b"x" * len(bytearray(8 << 30)))


def take_disk(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    with target.open("wb") as opened:
        for _ in range(200):
            opened.write(bytes(1 << 20))


def take_time(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    time.sleep(600)


def connect(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    with socket.create_connection(("127.0.0.1", checkpoint["port"]), timeout=5):
        target.write_text("connected")


def test_it_does_not_see_credentials(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    said = convert(checkpoint, checkpoint.with_suffix(".json"), tell_the_environment).read_text()
    assert "PATH" in said and "wJalrXUtnFEMI" not in said and "hunter2" not in said


@pytest.mark.parametrize("take", [take_memory, take_disk])
def test_it_takes_no_more_than_its_limits(checkpoint: Path, take: conversion.Writer) -> None:
    target = checkpoint.with_suffix(".safetensors")
    with pytest.raises(UnsafeWeights, match=r"best\.pt"):
        convert(checkpoint, target, take)
    assert sorted(file.name for file in checkpoint.parent.iterdir()) == ["best.pt"], "nothing half-written"


def test_it_ends_after_its_time(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_WALL_S", 8)
    with pytest.raises(UnsafeWeights, match="was not read within 8 s"):
        convert(checkpoint, checkpoint.with_suffix(".safetensors"), take_time)


def test_it_has_no_network_where_the_kernel_allows_it(tmp_path: Path) -> None:
    code = (
        "import ctypes; exit(ctypes.CDLL(None).unshare(0x40000000) and ctypes.CDLL(None).unshare(0x50000000))"
    )
    if subprocess.run([sys.executable, "-c", code], check=False).returncode:
        pytest.skip("this kernel gives a process no network of its own")
    with socket.create_server(("127.0.0.1", 0)) as server:
        torch.save({"port": server.getsockname()[1]}, tmp_path / "best.pt")
        with pytest.raises(UnsafeWeights, match=r"Network is unreachable|refused|Cannot assign"):
            convert(tmp_path / "best.pt", tmp_path / "made", connect)


def test_a_tensor_that_is_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    """A view can repeat one number without end, and takes no memory before it is stored."""
    model = network()
    model.model[0].conv.weight = torch.nn.Parameter(torch.zeros(1).expand(1 << 36))
    torch.save({"model": model}, tmp_path / "best.pt")
    with pytest.raises(UnsafeWeights, match=r"best\.pt"):
        convert(tmp_path / "best.pt", tmp_path / "made.safetensors", write_recorded)


def test_a_checkpoint_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"model": network()}, tmp_path / "best.pt")
    first = converted(tmp_path / "best.pt", tmp_path / "cache", write_recorded)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("converted again"))
    assert converted(tmp_path / "best.pt", tmp_path / "cache", write_recorded) == first
