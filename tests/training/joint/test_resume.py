"""A joint training goes on after a real SIGKILL, its balance with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.training.detection.network_file import read_network
from mlops.training.detection.ultralytics_library import settle
from mlops.training.joint import JointTrainer
from mlops.training.protocol import EpochReport, Verdict
from tests.training.detection_case import Reports, draw_nothing
from tests.training.joint.case import tiny_config, tiny_dataset

RECIPE: dict[str, Any] = {"epochs": 4, "gradnorm_lr": 0.1, "lr0": 0.001}


def _train_and_die(folder: Path) -> None:
    settle(folder / "cache")
    torch.set_num_threads(1)
    draw_nothing(pytest.MonkeyPatch())

    def on_epoch(done: EpochReport) -> Verdict:
        if done.epoch == 3:  # reported, its checkpoint not yet written
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict.CONTINUE

    JointTrainer().fit(tiny_config(folder, tiny_dataset(folder / "data"), **RECIPE), on_epoch)


def test_killed_it_goes_on_with_the_weights_that_the_losses_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path / "cache")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.training.joint.case", "ultralytics.models.yolo.detect"])
    process = processes.Process(target=_train_and_die, args=(tmp_path,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL

    from mlops.training.joint.joint_loop import JointLoop

    loaded: list[JointLoop] = []
    resume = JointLoop.resume_training
    monkeypatch.setattr(
        JointLoop, "resume_training", lambda loop, ckpt: (resume(loop, ckpt), loaded.append(loop))[0]
    )
    draw_nothing(monkeypatch)
    kept = read_network(tmp_path / "trial" / "training_state.safetensors").training["balance"]
    weights_then: list[dict[str, float]] = []
    started = JointLoop._start_epoch

    def start(loop: JointLoop) -> None:
        weights_then.append(dict(loop.balancer.weights))
        started(loop)

    monkeypatch.setattr(JointLoop, "_start_epoch", start)
    after = Reports()
    dataset = tiny_dataset(tmp_path / "data")
    result = JointTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert [report.epoch for report in after] == [3, 4]
    assert kept["steps"] == 4, "two epochs of two steps were done"
    assert weights_then[0]["detection"] != pytest.approx(1.0, abs=0.05), "they had moved, and are kept"
    assert loaded[0].balancer.state_dict()["steps"] == 8
    assert result.epochs_done == 4
