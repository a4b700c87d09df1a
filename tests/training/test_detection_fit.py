"""What a caller of the detector's training relies on."""

from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mlops.data.dataset import DetectionDataset
from mlops.errors import StudyMismatch
from mlops.systems.recipe import DetectionRecipe
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.resume import finished_epochs
from mlops.training.protocol import EpochReport, TrainConfig, TrainResult, Verdict
from tests.command import REPOSITORY
from tests.training.detection_case import CLASSES, Reports, draw_nothing, tiny_config, tiny_dataset

WHOLE_SET = {
    "args.yaml",
    "results.csv",
    "results.png",
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "BoxPR_curve.png",
    "BoxP_curve.png",
    "BoxR_curve.png",
    "BoxF1_curve.png",
    "labels.jpg",
    "train_batch0.jpg",
    "val_batch0_labels.jpg",
    "val_batch0_pred.jpg",
}


@dataclass(frozen=True)
class Trained:
    config: TrainConfig[DetectionRecipe]
    reports: Reports
    result: TrainResult


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return tiny_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset: DetectionDataset) -> Trained:
    """Four epochs to their end, with all that the library draws."""
    config = tiny_config(tmp_path_factory.mktemp("trained"), dataset, epochs=4, save_period=2)
    reports = Reports()
    return Trained(config, reports, DetectionTrainer().fit(config, reports))


@pytest.fixture
def undrawn(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_each_epoch_is_reported_once_under_our_names(trained: Trained) -> None:
    reports, result = trained.reports, trained.result
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert set(reports[0].metrics) == {
        *(f"{split}/{loss}_loss" for split in ("train", "val") for loss in ("box", "cls", "dfl")),
        *(f"val/{name}" for name in ("precision", "recall", "mAP50", "mAP50-95")),
        *(f"val/AP50/{name}" for name in CLASSES),
        *(f"lr/{group}" for group in ("weight", "bn", "bias")),
        "time/epoch_s",
        "time/images_per_s",
    }
    assert all(report.images == 16 and report.seconds > 0 for report in reports)
    assert result.epochs_done == 4
    assert result.parameters > 1_000_000
    assert dict(result.best_metrics) == dict(reports[result.best_epoch - 1].metrics)


@pytest.mark.usefixtures("undrawn")
def test_yolo26_reports_its_l1_loss_and_musgds_groups(tmp_path: Path, dataset: DetectionDataset) -> None:
    reports = Reports()
    config = tiny_config(tmp_path, dataset, epochs=1, model="yolo26n", optimizer="MuSGD")
    DetectionTrainer().fit(config, reports)
    assert {"train/l1_loss", "val/l1_loss", "lr/muon", "lr/muon_head"} <= set(reports[0].metrics)
    assert reports[0].metrics["lr/muon_head"] == pytest.approx(3 * reports[0].metrics["lr/muon"])


@pytest.mark.usefixtures("undrawn")
def test_an_epoch_is_reported_before_its_checkpoint_replaces_the_last(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    config = tiny_config(tmp_path, dataset, epochs=3)
    last = config.out_dir / "training_state.safetensors"
    on_disk: list[int | None] = []

    def look(report: EpochReport) -> Verdict:
        on_disk.append(finished_epochs(last) if last.exists() else 0)
        return Verdict.CONTINUE

    DetectionTrainer().fit(config, look)
    assert on_disk == [0, 1, 2]


@pytest.mark.usefixtures("undrawn")
def test_a_class_that_validation_lacks_has_no_ap(tmp_path: Path) -> None:
    lonely = tiny_dataset(tmp_path / "data", classes=(*CLASSES, "unseen"))
    reports = Reports()
    DetectionTrainer().fit(tiny_config(tmp_path, lonely, epochs=1), reports)
    assert "val/AP50/square" in reports[0].metrics
    assert "val/AP50/unseen" not in reports[0].metrics


def test_the_librarys_whole_artifact_set_is_handed_over(trained: Trained) -> None:
    result = trained.result
    assert {path.name for path, folder in result.artifacts.items() if folder == "training"} >= WHOLE_SET
    assert all(path.stat().st_size > 0 for path in result.artifacts)


def test_a_checkpoint_is_kept_every_save_period(trained: Trained) -> None:
    result = trained.result
    weights = {path.name for path, folder in result.artifacts.items() if folder == "weights"}
    assert weights == {
        "best.safetensors",
        "last.safetensors",
        "epoch2.safetensors",
        "epoch4.safetensors",
        "best.pt",
    }
    kept = result.best_weights.with_name("epoch2.safetensors")
    assert finished_epochs(kept) == 2
    assert kept.stat().st_size < 1.1 * result.best_weights.stat().st_size


@pytest.mark.usefixtures("undrawn")
def test_stop_ends_the_training_and_keeps_that_epochs_checkpoint(
    tmp_path: Path, dataset: DetectionDataset
) -> None:
    reports = Reports(stop_after=2)
    result = DetectionTrainer().fit(tiny_config(tmp_path, dataset, epochs=50), reports)
    assert [report.epoch for report in reports] == [1, 2]
    assert result.epochs_done == 2
    assert result.last_weights.exists()
    assert result.best_weights.exists()


def test_a_finished_training_answers_from_its_folder_at_once(trained: Trained) -> None:
    again = Reports()
    assert DetectionTrainer().fit(trained.config, again) == trained.result
    assert again == []


def test_a_folder_of_another_training_is_refused(trained: Trained) -> None:
    changed = trained.config.recipe.model_copy(update={"lr0": 0.02})
    with pytest.raises(StudyMismatch, match="another recipe"):
        DetectionTrainer().fit(replace(trained.config, recipe=changed), Reports())


TRAIN_TEST_EXPORT = """
import pickle, sys
from pathlib import Path
from mlops.training.detection import DetectionTrainer
from tests.training.detection_case import Reports
config = pickle.loads(Path(sys.argv[1]).read_bytes())
result = DetectionTrainer().fit(config, Reports())
DetectionTrainer().test(config, result.best_weights, "test")
DetectionTrainer().serving_model(config, result.best_weights)
"""


def test_nothing_is_written_outside_the_trainings_own_folders_nor_printed(tmp_path: Path) -> None:
    """In a process of its own, as a user starts it: the library reads its settings on import."""
    home, here, data = (tmp_path / name for name in ("home", "here", "data"))
    home.mkdir()
    here.mkdir()
    config = tiny_config(tmp_path, tiny_dataset(data), epochs=1)
    (tmp_path / "config").write_bytes(pickle.dumps(config))
    before = listing(data)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("YOLO_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_TEST_EXPORT, str(tmp_path / "config")],
        cwd=here,
        env={**kept, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert listing(data) == before
    assert list(here.iterdir()) == []
    assert [path for path in home.rglob("*") if "matplotlib" not in path.parts and path.is_file()] == []


def test_the_librarys_own_tracking_stays_away(
    tmp_path: Path, trained: Trained, dataset: DetectionDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    DetectionTrainer().fit(tiny_config(tmp_path, dataset, epochs=1), Reports())
    assert not (tmp_path / "mlruns").exists()
    assert not any(
        f"ultralytics.utils.callbacks.{name}" in sys.modules for name in ("mlflow", "comet", "wb", "platform")
    )


def test_results_csv_has_a_row_for_each_epoch(trained: Trained) -> None:
    with (trained.config.out_dir / "training" / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_progress_is_a_line_an_epoch_on_a_terminal_and_nothing_elsewhere(
    tmp_path: Path, dataset: DetectionDataset, run_in_terminal: Callable[[str], str]
) -> None:
    shown = run_in_terminal(
        f"""
from dataclasses import replace
from pathlib import Path
from mlops.training.detection import DetectionTrainer
from tests.training.detection_case import Reports, tiny_config, tiny_dataset
folder = Path({str(tmp_path)!r})
config = replace(tiny_config(folder, tiny_dataset(folder / "data"), epochs=2), progress=True)
DetectionTrainer().fit(config, Reports())
"""
    )
    lines = [line for line in shown.splitlines() if " mAP50-95 " in line]
    assert len(lines) == 2
    assert "epoch 2/2" in lines[1]


@pytest.fixture
def run_in_terminal() -> Callable[[str], str]:
    """Run Python code in a process whose output is a terminal; gives what was shown."""
    import pty

    def run(code: str) -> str:
        child, terminal = pty.fork()
        if child == 0:
            os.execve(
                sys.executable,
                [sys.executable, "-c", code],
                {**os.environ, "TERM": "xterm", "COLUMNS": "200"},
            )
        shown = b""
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        _, status = os.waitpid(child, 0)
        assert status == 0, shown.decode()
        return shown.decode()

    return run
