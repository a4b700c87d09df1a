"""A classifier's training goes on after a real SIGKILL, whatever it was doing, and ends in the same bits."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlops.files import atomic
from mlops.training.classification import ClassificationTrainer
from mlops.training.protocol import EpochReport, TrainConfig, TrainResult, Verdict
from tests.training.classification_case import Reports, draw_nothing, tiny_config

epochs: Any = importlib.import_module("mlops.training.classification.epochs")
finish: Any = importlib.import_module("mlops.training.classification.held_out")

EPOCHS = 6
RECIPE: dict[str, Any] = {
    "epochs": EPOCHS,
    "schedule": "onecycle",
    "sampler": "balanced",
    "freeze_epochs": 1,
    "clip_norm": 1.0,
    "dropout": 0.1,
    "hflip": 0.5,
    "vflip": 0.5,
    "degrees": 10.0,
    "brightness": 0.1,
}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, Reports]:
    """The training that nobody kills, with its reports."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        reports = Reports()
        config = tiny_config(tmp_path_factory.mktemp("whole"), **RECIPE)
        return ClassificationTrainer().fit(config, reports), reports


def started(folder: Path, sabotage: Callable[[], None]) -> BaseProcess:
    """Train in a process of its own. `sabotage` runs there before training."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(
        [
            "tests.training.classification_case",
            "mlops.training.classification.lightning_loop",
            "kornia.augmentation",
        ]
    )
    process = processes.Process(target=_train, args=(folder, sabotage))
    process.start()
    return process


def _train(folder: Path, sabotage: Callable[[], None]) -> None:
    torch.set_num_threads(1)
    draw_nothing(pytest.MonkeyPatch())
    sabotage()

    def on_epoch(done: EpochReport) -> Verdict:
        with (folder / "reported").open("a") as file:
            file.write(json.dumps([done.epoch, dict(done.metrics)]) + "\n")
        return Verdict.CONTINUE

    ClassificationTrainer().fit(tiny_config(folder, **RECIPE), on_epoch)


def reported(folder: Path) -> list[tuple[int, dict[str, float]]]:
    file = folder / "reported"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(epoch, metrics) for epoch, metrics in map(json.loads, lines)]


def learnt(metrics: Any) -> dict[str, float]:
    """A report without what the clock said."""
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}


def kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nothing() -> None:
    pass


def killed(folder: Path, sabotage: Callable[[], None]) -> list[int]:
    """Train until the sabotage strikes; gives the epochs that were reported."""
    process = started(folder, sabotage)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    return [epoch for epoch, _ in reported(folder)]


def gone_on(config: TrainConfig[Any]) -> tuple[TrainResult, list[int]]:
    reports = Reports()
    result = ClassificationTrainer().fit(config, reports)
    return result, [report.epoch for report in reports]


def same_bits(result: TrainResult, other: TrainResult) -> bool:
    pairs = ((result.last_weights, other.last_weights), (result.best_weights, other.best_weights))
    return all(bits(one) == bits(another) for one, another in pairs)


def bits(file: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_no_epoch_is_lost_and_the_weights_end_the_same(
    tmp_path: Path, uninterrupted: tuple[TrainResult, Reports], seed: int
) -> None:
    chance = random.Random(seed)
    kills = 0
    for _ in range(4):
        process = started(tmp_path, nothing)
        wanted = len(reported(tmp_path)) + chance.randint(0, 2)
        while process.is_alive() and len(reported(tmp_path)) < wanted:
            time.sleep(0.005)
        process.join(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    last = started(tmp_path, nothing)
    last.join(120)
    assert last.exitcode == 0
    whole, expected = uninterrupted
    seen = reported(tmp_path)
    accepted: dict[int, dict[str, float]] = {}
    for epoch, metrics in seen:
        accepted.setdefault(epoch, metrics)
    assert list(accepted) == list(range(1, EPOCHS + 1))
    assert len(seen) - len(accepted) <= kills
    for epoch, metrics in seen:
        assert learnt(metrics) == learnt(expected[epoch - 1].metrics)
    result, again = gone_on(tiny_config(tmp_path, **RECIPE))
    assert again == []
    assert same_bits(result, whole)
    assert result.best_epoch == whole.best_epoch


def kill_after_the_third_report() -> None:
    written = epochs.write_record

    def write(file: Path, record: Any) -> None:
        if len(record.epochs) == 3:
            kill()
        written(file, record)

    epochs.write_record = write


def kill_after_the_third_record() -> None:
    written = epochs.write_record

    def write(file: Path, record: Any) -> None:
        written(file, record)
        if len(record.epochs) == 3:
            kill()

    epochs.write_record = write


def kill_while_the_third_checkpoint_is_written() -> None:
    moved, seen = atomic.move_durably, [0]

    def move(source: Path, target: Path) -> None:
        seen[0] += target.name == "training_state.safetensors"
        if target.name == "training_state.safetensors" and seen[0] == 3:
            source.write_bytes(source.read_bytes()[:1000])
            kill()
        moved(source, target)

    atomic.move_durably = move


@pytest.mark.parametrize(
    "sabotage",
    [kill_after_the_third_report, kill_after_the_third_record, kill_while_the_third_checkpoint_is_written],
)
def test_killed_between_report_and_checkpoint_only_that_epoch_is_done_again(
    tmp_path: Path, uninterrupted: tuple[TrainResult, Reports], sabotage: Callable[[], None]
) -> None:
    assert killed(tmp_path, sabotage) == [1, 2, 3]
    result, again = gone_on(tiny_config(tmp_path, **RECIPE))
    assert again == [3, 4, 5, 6]
    assert same_bits(result, uninterrupted[0])


def kill_when_the_third_checkpoint_is_in_place() -> None:
    moved, seen = atomic.move_durably, [0]

    def move(source: Path, target: Path) -> None:
        moved(source, target)
        seen[0] += target.name == "training_state.safetensors"
        if seen[0] == 3:
            kill()

    atomic.move_durably = move


def test_killed_after_a_checkpoint_no_epoch_is_done_again(
    tmp_path: Path, uninterrupted: tuple[TrainResult, Reports]
) -> None:
    assert killed(tmp_path, kill_when_the_third_checkpoint_is_in_place) == [1, 2, 3]
    result, again = gone_on(tiny_config(tmp_path, **RECIPE))
    assert again == [4, 5, 6]
    assert same_bits(result, uninterrupted[0])


def kill_while_drawing() -> None:
    finish.draw_training = kill


def kill_when_the_best_weights_are_in_place() -> None:
    finish.write_record = kill


def kill_when_the_record_says_finished() -> None:
    written = finish.write_record

    def write(file: Path, record: Any) -> None:
        written(file, record)
        kill()

    finish.write_record = write


@pytest.mark.parametrize(
    "sabotage",
    [kill_while_drawing, kill_when_the_best_weights_are_in_place, kill_when_the_record_says_finished],
)
def test_killed_while_finishing_no_epoch_is_done_again(
    tmp_path: Path, uninterrupted: tuple[TrainResult, Reports], sabotage: Callable[[], None]
) -> None:
    assert killed(tmp_path, sabotage) == [1, 2, 3, 4, 5, 6]
    result, again = gone_on(tiny_config(tmp_path, **RECIPE))
    assert again == []
    assert result.epochs_done == EPOCHS
    assert same_bits(result, uninterrupted[0])
    assert sorted(path.name for path in result.best_weights.parent.iterdir()) == [
        "best.safetensors",
        "last.safetensors",
    ]


def interrupted(config: TrainConfig[Any], at_epoch: int) -> None:
    def on_epoch(report: EpochReport) -> Verdict:
        if report.epoch == at_epoch:
            raise KeyboardInterrupt
        return Verdict.CONTINUE

    with pytest.raises(KeyboardInterrupt):
        ClassificationTrainer().fit(config, on_epoch)


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "schedule": "cosine", "warmup_epochs": 1, "accumulate": 2, "freeze_epochs": 0},
        {"optimizer": "adam", "schedule": "constant", "warmup_epochs": 3, "contrast": 0.2, "saturation": 0.2},
        {"model": "mobilenetv3_small_050", "schedule": "onecycle", "class_weights": "balanced"},
    ],
    ids=["sgd cosine", "adam constant", "adamw onecycle"],
)
def test_every_optimizer_and_schedule_goes_on_to_the_same_bits(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    asked = {**RECIPE, **recipe, "epochs": 4}
    whole = ClassificationTrainer().fit(tiny_config(tmp_path, name="whole", **asked), Reports())
    config = tiny_config(tmp_path, name="broken", **asked)
    interrupted(config, 3)
    result, again = gone_on(config)
    assert again == [3, 4]
    assert same_bits(result, whole)


def test_a_damaged_checkpoint_is_warned_of_and_started_over(
    tmp_path: Path, uninterrupted: tuple[TrainResult, Reports], caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config(tmp_path, **RECIPE)
    interrupted(config, 3)
    last = config.out_dir / "training_state.safetensors"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    result, again = gone_on(config)
    assert "damaged; restarting" in caplog.text
    assert again == [1, 2, 3, 4, 5, 6]
    assert same_bits(result, uninterrupted[0])


@pytest.mark.parametrize("lost", ["training.json", "weights"])
def test_a_checkpoint_without_what_belongs_to_it_is_not_gone_on_from(tmp_path: Path, lost: str) -> None:
    config = tiny_config(tmp_path, **RECIPE)
    interrupted(config, 3)
    (config.out_dir / lost).rename(tmp_path / "gone")
    _, again = gone_on(config)
    assert again == [1, 2, 3, 4, 5, 6]


def test_random_numbers_outside_a_training_stay_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    ClassificationTrainer().fit(tiny_config(tmp_path, epochs=1), Reports())
    assert torch.equal(torch.rand(3), expected)
