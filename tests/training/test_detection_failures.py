"""How a detector's training says what went wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.data.dataset import DetectionDataset
from mlops.errors import Diverged, OutOfMemory, StudyMismatch, TrainingCrashed
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.resume import finished_epochs
from mlops.training.detection.ultralytics_library import settle
from mlops.training.protocol import EpochReport, Verdict
from tests.command import REPOSITORY
from tests.training.detection_case import Reports, draw_nothing, tiny_config, tiny_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return tiny_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def undrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(tmp_path / "cache")
    draw_nothing(monkeypatch)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, StudyMismatch])
def test_ctrl_c_and_our_own_errors_pass_through(
    tmp_path: Path, dataset: DetectionDataset, raised: type[BaseException]
) -> None:
    def interrupt(report: EpochReport) -> Verdict:
        raise raised

    with pytest.raises(raised):
        DetectionTrainer().fit(tiny_config(tmp_path, dataset), interrupt)


def test_what_breaks_inside_is_named_with_its_cause(tmp_path: Path, dataset: DetectionDataset) -> None:
    def broken(report: EpochReport) -> Verdict:
        raise ZeroDivisionError("one by nothing")

    with pytest.raises(TrainingCrashed, match="ZeroDivisionError: one by nothing") as caught:
        DetectionTrainer().fit(tiny_config(tmp_path, dataset), broken)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_loss_that_is_no_number_ends_the_training_and_the_checkpoint_before_it_stays_usable(
    tmp_path: Path, dataset: DetectionDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    def poison(loop: RecipeLoop) -> None:
        if loop.epoch == 2:
            next(loop.model.parameters()).data.fill_(float("nan"))

    started = RecipeLoop._start_epoch
    monkeypatch.setattr(RecipeLoop, "_start_epoch", lambda loop: (started(loop), poison(loop)))
    config = tiny_config(tmp_path, dataset, epochs=4)
    with pytest.raises(Diverged, match=r"train/box_loss.* became NaN or infinite in epoch 3"):
        DetectionTrainer().fit(config, Reports())
    assert finished_epochs(config.out_dir / "training_state.safetensors") == 2
    monkeypatch.undo()
    again = Reports()
    DetectionTrainer().fit(config, again)
    assert [report.epoch for report in again] == [3, 4]


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_device_without_memory_ends_the_training_at_the_recipes_batch(
    tmp_path: Path, dataset: DetectionDataset, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """The library would halve the batch in the first epoch and say so in its log alone."""
    from mlops.training.detection.ultralytics_loop import RecipeLoop

    preprocess, still_to_come = RecipeLoop.preprocess_batch, [epoch]

    def full(loop: RecipeLoop, batch: dict[str, Any]) -> Any:
        if loop.epoch + 1 in still_to_come:
            still_to_come.clear()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return preprocess(loop, batch)

    monkeypatch.setattr(RecipeLoop, "preprocess_batch", full)
    with pytest.raises(OutOfMemory, match="smaller batch or image_size"):
        DetectionTrainer().fit(tiny_config(tmp_path, dataset, epochs=3), Reports())


TRAIN_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import psutil
from mlops.errors import OutOfMemory
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.ultralytics_library import settle
from tests.training.detection_case import Reports, tiny_config, tiny_dataset
folder = Path(sys.argv[1])
settle(folder / "cache")
import mlops.training.detection.ultralytics_loop
limit = psutil.Process().memory_info().vms + 1_000_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
config = tiny_config(folder, tiny_dataset(folder / "data"), image_size=1280, batch=16)
try:
    DetectionTrainer().fit(config, Reports())
except OutOfMemory as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of memory")
def test_a_machine_without_memory_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_IN_LITTLE_MEMORY, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "smaller batch or image_size" in done.stdout, done.stderr
