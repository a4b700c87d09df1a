"""A detector's training goes on after a real SIGKILL, whatever it was doing."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.data.dataset import DetectionDataset
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.network_file import read_network
from mlops.training.detection.resume import DetectorFiles, finished_epochs, look_back
from mlops.training.detection.ultralytics_library import settle
from mlops.training.protocol import EpochReport, Verdict
from mlops.training.training_record import identity_of
from tests.training.detection_case import Reports, draw_nothing, tiny_config, tiny_dataset

EPOCHS = 4
STATE = "training_state.safetensors"
RECIPE: dict[str, Any] = {
    "epochs": EPOCHS,
    "save_period": 1,
    "freeze_layers": 4,
    "freeze_epochs": 2,
    "lr0": 0.02,
    "nbs": 8,
}


@pytest.fixture
def dataset(tmp_path: Path) -> DetectionDataset:
    return tiny_dataset(tmp_path / "data")


@pytest.fixture(autouse=True)
def undrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(tmp_path / "cache")
    draw_nothing(monkeypatch)


def killed(tmp_path: Path, sabotage: Callable[[], None], at_report: int = 0) -> list[int]:
    """Train in a process of its own until it kills itself; gives the epochs that it had reported.

    `sabotage` runs there before training. It kills itself in the report of epoch `at_report` too.
    """
    settle(tmp_path / "cache")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.training.detection_case", "ultralytics.models.yolo.detect"])
    process = processes.Process(target=_train, args=(tmp_path, sabotage, at_report))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    reported = tmp_path / "reported"
    return [int(line) for line in reported.read_text().splitlines()] if reported.exists() else []


def _train(folder: Path, sabotage: Callable[[], None], at_report: int) -> None:
    settle(folder / "cache")
    torch.set_num_threads(1)
    draw_nothing(pytest.MonkeyPatch())
    sabotage()

    def on_epoch(done: EpochReport) -> Verdict:
        with (folder / "reported").open("a") as file:
            file.write(f"{done.epoch}\n")
        if done.epoch == at_report:
            kill()
        return Verdict.CONTINUE

    DetectionTrainer().fit(tiny_config(folder, tiny_dataset(folder / "data"), **RECIPE), on_epoch)


def kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nothing() -> None:
    pass


def rows(tmp_path: Path) -> list[str]:
    with (tmp_path / "trial" / "training" / "results.csv").open() as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def a_frozen_layer(checkpoint: Path) -> torch.Tensor:
    """Weights and batch-norm statistics of a layer that `RECIPE` freezes, as one vector."""
    layer = read_network(checkpoint).network.model[1]
    return torch.cat([layer.conv.weight.flatten(), layer.bn.running_mean, layer.bn.running_var]).float()


def kill_in_the_third_epoch() -> None:
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    started = RecipeLoop._start_epoch

    def start(self: Any) -> None:
        started(self)
        self.add_callback("on_train_batch_end", lambda loop: kill() if loop.epoch == 2 else None)

    RecipeLoop._start_epoch = start  # type: ignore[method-assign]


def test_killed_in_the_middle_of_an_epoch_it_goes_on_from_the_epoch_before(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    before = killed(tmp_path, kill_in_the_third_epoch)
    assert before == [1, 2]
    after = Reports()
    result = DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert [report.epoch for report in after] == [3, 4]
    assert rows(tmp_path) == ["1", "2", "3", "4"]
    assert result.epochs_done == EPOCHS
    assert after[0].metrics["lr/weight"] < RECIPE["lr0"]


def test_killed_between_report_and_checkpoint_only_that_epoch_is_done_again(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    before = killed(tmp_path, nothing, at_report=3)
    assert before == [1, 2, 3]
    after = Reports()
    DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert [report.epoch for report in after] == [3, 4]
    assert rows(tmp_path) == ["1", "2", "3", "4"]


def kill_while_the_third_checkpoint_is_written() -> None:
    from mlops.files import atomic

    moved, seen = atomic.move_durably, [0]

    def move(source: Path, target: Path) -> None:
        seen[0] += target.name == STATE
        if target.name == STATE and seen[0] == 3:
            source.write_bytes(source.read_bytes()[:1000])
            kill()
        moved(source, target)

    atomic.move_durably = move


def test_killed_while_a_checkpoint_is_written_the_one_before_is_used(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    killed(tmp_path, kill_while_the_third_checkpoint_is_written)
    after = Reports()
    DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert [report.epoch for report in after] == [3, 4]
    assert rows(tmp_path) == ["1", "2", "3", "4"]


def kill_between_the_first_state_and_best() -> None:
    from mlops.files import atomic

    moved = atomic.move_durably

    def move(source: Path, target: Path) -> None:
        if target.name == "best.safetensors":
            kill()
        moved(source, target)

    atomic.move_durably = move


def test_killed_between_state_and_best_the_best_is_made_of_the_state(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    assert killed(tmp_path, kill_between_the_first_state_and_best) == [1]
    config = tiny_config(tmp_path, dataset, **RECIPE)
    places = DetectorFiles(config.out_dir)
    assert finished_epochs(places.state) == 1 and not places.best.exists()
    found = look_back(places, identity_of(config))
    assert found.record.best().epoch == 1
    assert finished_epochs(places.best) == 1
    after = Reports()
    DetectionTrainer().fit(config, after)
    assert [report.epoch for report in after] == [2, 3, 4]


def kill_in_the_final_evaluation() -> None:
    from mlops.training.detection import ultralytics_loop

    ultralytics_loop.write_download = kill  # type: ignore[assignment]


def test_killed_in_the_final_evaluation_no_epoch_is_done_again(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    before = killed(tmp_path, kill_in_the_final_evaluation)
    assert before == [1, 2, 3, 4]
    after = Reports()
    result = DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert after == []
    assert result.epochs_done == EPOCHS
    assert rows(tmp_path) == ["1", "2", "3", "4"]
    assert not DetectorFiles(tmp_path / "trial").state.exists()


def stop_after_the_first_epoch_and_kill_in_the_final_evaluation() -> None:
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    asked = RecipeLoop.save_model

    def save(self: Any) -> bool:
        on_epoch = self.plan.on_epoch._on_epoch
        self.plan.on_epoch._on_epoch = lambda done: (on_epoch(done), Verdict.STOP)[1]
        return asked(self)

    RecipeLoop.save_model = save  # type: ignore[method-assign]
    RecipeLoop.final_eval = kill  # type: ignore[method-assign,assignment]


def test_killed_after_stop_it_does_not_train_on(tmp_path: Path, dataset: DetectionDataset) -> None:
    killed(tmp_path, stop_after_the_first_epoch_and_kill_in_the_final_evaluation)
    after = Reports()
    result = DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert after == []
    assert result.epochs_done == 1


def test_a_frozen_layer_stays_frozen_and_is_released_on_time_across_a_kill(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    assert killed(tmp_path, nothing, at_report=2) == [1, 2]
    result = DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), Reports())
    first, second, third = (
        a_frozen_layer(result.last_weights.with_name(f"epoch{epoch}.safetensors")) for epoch in (1, 2, 3)
    )
    assert torch.equal(first, second)
    learned = (second != third).float().mean()
    assert learned > 0.5


def test_a_damaged_checkpoint_is_warned_of_and_started_over(
    tmp_path: Path, dataset: DetectionDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    killed(tmp_path, nothing, at_report=3)
    last = tmp_path / "trial" / STATE
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    after = Reports()
    DetectionTrainer().fit(tiny_config(tmp_path, dataset, **RECIPE), after)
    assert "damaged; restarting" in capfd.readouterr().err
    assert [report.epoch for report in after] == [1, 2, 3, 4]
    assert rows(tmp_path) == ["1", "2", "3", "4"]
