"""What a classifier's training promises: reports, artifacts, verdicts, and errors that name themselves."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.errors import (
    BadSetting,
    DataFault,
    DiskFull,
    Diverged,
    OutOfMemory,
    StudyMismatch,
    Terminated,
    TrainingCrashed,
)
from mlops.search.engines.local import termination_as_interrupt
from mlops.training import trainer_for
from mlops.training.classification import ClassificationTrainer
from mlops.training.classification import timm_network as networks
from mlops.training.classification.compiling import CompileChoice
from mlops.training.classification.lightning_module import ClassifierModule
from mlops.training.protocol import EpochReport, Verdict
from mlops.training.training_record import identity_of
from tests.training.classification_case import (
    CLASSES,
    Reports,
    as_files,
    draw_nothing,
    tiny_config,
    tiny_dataset,
    tiny_recipe,
)

DRAWN = {
    "F1_curve.png",
    "PR_curve.png",
    "P_curve.png",
    "R_curve.png",
    "args.yaml",
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "labels.png",
    "results.csv",
    "results.png",
    "train_batch0.png",
    "val_batch0_labels.png",
    "val_batch0_pred.png",
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def from_two_sources(dataset: ClassificationDataset) -> ClassificationDataset:
    splits = {
        name: replace(items, sources=tuple("north" if i % 2 else "south" for i in range(len(items))))
        for name, items in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# what comes out


def test_a_training_reports_keeps_and_draws_all_that_it_says_and_nothing_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = from_two_sources(as_files(tiny_dataset(), tmp_path / "data"))
    before = tree(tmp_path / "data")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    reports = Reports()
    trainer = trainer_for("classification")
    result = trainer.fit(tiny_config(tmp_path, dataset, epochs=3, hflip=0.5), reports)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    assert list((tmp_path / "cwd").iterdir()) == []
    assert tree(tmp_path / "data") == before

    measured = {"loss", "accuracy", "macro_f1"}
    expected = {f"{split}/{name}" for split in ("train", "val") for name in measured}
    expected |= {f"val/F1/{name}" for name in CLASSES}
    expected |= {"val/macro_f1/north", "val/macro_f1/south"}
    expected |= {"lr/backbone", "lr/head", "time/epoch_s", "time/images_per_s"}
    for number, report in enumerate(reports, 1):
        assert report.epoch == number
        assert set(report.metrics) == expected
        assert all(np.isfinite(value) for value in report.metrics.values())
        f1 = [report.metrics[f"val/F1/{name}"] for name in CLASSES]
        assert report.metrics["val/macro_f1"] == pytest.approx(np.mean(f1))
        assert report.images == 48
        assert report.metrics["time/epoch_s"] == report.seconds > 0
        assert report.metrics["time/images_per_s"] >= report.images / report.seconds

    scores = [report.metrics["val/macro_f1"] for report in reports]
    assert result.best_metrics == reports[result.best_epoch - 1].metrics
    assert result.best_metrics["val/macro_f1"] == max(scores)
    assert result.epochs_done == 3
    with safe_open(result.best_weights, framework="pt") as held:
        says = {key: json.loads(value) for key, value in held.metadata().items()}
        parameters = sum(
            held.get_tensor(name).numel()
            for name in held.keys()  # noqa: SIM118 - no mapping
            if not name.rpartition(".")[2].startswith(("running", "num_batches"))
        )
    assert result.parameters == parameters
    assert (says["model"], says["classes"], says["image_size"]) == ("test_resnet", list(CLASSES), 32)

    drawn = {path.name for path, folder in result.artifacts.items() if folder == "training"}
    assert drawn == DRAWN
    kept = {path.name for path, folder in result.artifacts.items() if folder == "weights"}
    assert kept == {"best.safetensors", "last.safetensors"}
    for path in result.artifacts:
        assert path.stat().st_size > 0
        if path.suffix == ".png":
            Image.open(path).verify()
    history = pd.read_csv(tmp_path / "trial" / "training" / "results.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["val/macro_f1"].tolist() == pytest.approx(scores)

    measured_again = trainer.test(tiny_config(tmp_path, dataset, epochs=3), result.best_weights, "val")
    for name in ("loss", "accuracy", "macro_f1", "macro_f1/north", "F1/disc"):
        assert measured_again.metrics[f"val/{name}"] == pytest.approx(
            result.best_metrics[f"val/{name}"], 1e-5
        )


def test_a_finished_training_is_given_back_without_training(tmp_path: Path, undrawn: None) -> None:
    config = tiny_config(tmp_path)
    first = ClassificationTrainer().fit(config, Reports())

    def never(report: EpochReport) -> Verdict:
        raise AssertionError(report)

    assert ClassificationTrainer().fit(config, never) == first


def test_more_loading_processes_make_no_other_training(tmp_path: Path, undrawn: None) -> None:
    config = tiny_config(tmp_path)
    first = ClassificationTrainer().fit(config, Reports())
    reports = Reports()
    assert ClassificationTrainer().fit(tiny_config(tmp_path, workers=2), reports) == first
    assert reports == []


@pytest.mark.parametrize("other", [{"lr": 0.1}, {"epochs": 3}], ids=["rate", "epochs"])
def test_a_folder_of_another_recipe_is_refused_and_left_alone(
    tmp_path: Path, undrawn: None, other: dict[str, Any]
) -> None:
    ClassificationTrainer().fit(tiny_config(tmp_path), Reports(stop_after=1))
    before = tree(tmp_path / "trial")
    with pytest.raises(StudyMismatch, match="another recipe"):
        ClassificationTrainer().fit(tiny_config(tmp_path, **other), Reports())
    with pytest.raises(StudyMismatch):
        ClassificationTrainer().fit(replace(tiny_config(tmp_path), seed=1), Reports())
    with pytest.raises(StudyMismatch):
        ClassificationTrainer().fit(tiny_config(tmp_path, tiny_dataset(side=24)), Reports())
    assert tree(tmp_path / "trial") == before


# verdicts and signals


def test_stop_ends_with_that_epochs_weights_kept(tmp_path: Path, undrawn: None) -> None:
    reports = Reports(stop_after=2)
    result = ClassificationTrainer().fit(tiny_config(tmp_path, epochs=9), reports)
    assert [report.epoch for report in reports] == [1, 2]
    assert result.epochs_done == 2
    shorter = ClassificationTrainer().fit(tiny_config(tmp_path, name="shorter", epochs=2), Reports())
    with safe_open(result.last_weights, "pt") as one, safe_open(shorter.last_weights, "pt") as other:
        names = list(one.keys())
        assert all(torch.equal(one.get_tensor(name), other.get_tensor(name)) for name in names)
    again = Reports()
    assert ClassificationTrainer().fit(tiny_config(tmp_path, epochs=9), again) == result
    assert again == []


def test_an_interrupt_in_a_report_passes_through_and_the_training_can_go_on(
    tmp_path: Path, undrawn: None
) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(report: EpochReport) -> Verdict:
        if report.epoch == 2:
            raise KeyboardInterrupt
        return Verdict.CONTINUE

    with pytest.raises(KeyboardInterrupt):
        ClassificationTrainer().fit(tiny_config(tmp_path, epochs=3), interrupt)
    assert signal.getsignal(signal.SIGINT) is handler
    after = Reports()
    ClassificationTrainer().fit(tiny_config(tmp_path, epochs=3), after)
    assert [report.epoch for report in after] == [2, 3]


def test_ctrl_c_in_the_middle_of_an_epoch_passes_through_each_time(tmp_path: Path, undrawn: None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    starts: list[Reports] = []
    pressed = threading.Timer(0, print)

    def soon(report: EpochReport) -> Verdict:
        nonlocal pressed
        if not pressed.is_alive():  # again where a weakref callback swallowed the last
            pressed = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
            pressed.start()
        return starts[-1](report)

    for _ in range(2):
        starts.append(Reports())
        with pytest.raises(KeyboardInterrupt):
            ClassificationTrainer().fit(tiny_config(tmp_path, epochs=500), soon)
        assert signal.getsignal(signal.SIGINT) is handler
    first, second = ([report.epoch for report in reports] for reports in starts)
    assert second[0] in (first[-1], first[-1] + 1)


def terminate_soon(report: EpochReport) -> Verdict:
    if report.epoch == 1:
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return Verdict.CONTINUE


def test_sigterm_ends_a_training_with_the_status_that_shells_give_it(tmp_path: Path, undrawn: None) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray leaves one of its own in a process
    try:
        with pytest.raises(SystemExit) as left:
            ClassificationTrainer().fit(tiny_config(tmp_path, epochs=500), terminate_soon)
        assert left.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_callers_own_answer_to_sigterm_is_heard(tmp_path: Path, undrawn: None) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            ClassificationTrainer().fit(tiny_config(tmp_path, epochs=500), terminate_soon)
        assert signal.getsignal(signal.SIGTERM) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_sigterm_whose_exception_python_dropped_ends_the_training(tmp_path: Path, undrawn: None) -> None:
    class Watched:
        """Something that can be referred to weakly."""

    def in_a_callback(report: EpochReport) -> Verdict:
        watched = Watched()
        _reference = weakref.ref(watched, lambda _gone: signal.raise_signal(signal.SIGTERM))
        del watched
        return Verdict.CONTINUE

    with pytest.raises(Terminated), termination_as_interrupt():
        ClassificationTrainer().fit(tiny_config(tmp_path, epochs=500), in_a_callback)
    time.sleep(0.2)  # a second signal would end this process


def test_it_trains_in_a_thread_too(tmp_path: Path, undrawn: None) -> None:
    reports = Reports()
    worker = threading.Thread(target=ClassificationTrainer().fit, args=(tiny_config(tmp_path), reports))
    worker.start()
    worker.join()
    assert [report.epoch for report in reports] == [1, 2]


# failures


def test_a_loss_that_becomes_nan_is_told_as_diverged(tmp_path: Path, undrawn: None) -> None:
    reports = Reports()
    with pytest.raises(Diverged, match="train/loss"):
        ClassificationTrainer().fit(
            tiny_config(tmp_path, optimizer="sgd", lr=1e6, epochs=4, model="test_convnext"), reports
        )
    assert all(np.isfinite(report.metrics["train/loss"]) for report in reports)


def test_the_checkpoint_before_a_failure_stays_usable(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, before = tiny_config(tmp_path, epochs=3), Reports()
    honest = ClassifierModule.training_step

    def poisoned(
        self: ClassifierModule, batch: tuple[torch.Tensor, torch.Tensor], index: int
    ) -> torch.Tensor:
        loss = honest(self, batch, index)
        if len(before) == 1:
            self.seen.add(torch.zeros(1, 3), batch[1][:1], torch.tensor(torch.nan))
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierModule, "training_step", poisoned)
        with pytest.raises(Diverged, match="epoch 2"):
            ClassificationTrainer().fit(config, before)
    after = Reports()
    ClassificationTrainer().fit(config, after)
    assert [report.epoch for report in (*before, *after)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (OSError(28, "No space left on device"), DiskFull),
        (ValueError("shapes differ\nby one"), TrainingCrashed),
    ],
    ids=["gpu memory", "memory", "disk", "anything else"],
)
def test_what_breaks_inside_is_named(
    tmp_path: Path,
    undrawn: None,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    told: type[Exception],
) -> None:
    def broken(*_: object) -> None:
        raise raised

    monkeypatch.setattr(ClassifierModule, "training_step", broken)
    with pytest.raises(told) as caught:
        ClassificationTrainer().fit(tiny_config(tmp_path), Reports())
    assert "\n" not in str(caught.value)


def test_an_error_of_the_callback_is_no_verdict(tmp_path: Path, undrawn: None) -> None:
    def broken(report: EpochReport) -> Verdict:
        raise DiskFull("/somewhere", "metrics")

    with pytest.raises(DiskFull, match="/somewhere"):
        ClassificationTrainer().fit(tiny_config(tmp_path), broken)


def test_data_that_cannot_be_learnt_from_are_refused_by_name(tmp_path: Path) -> None:
    dataset = as_files(tiny_dataset(), tmp_path / "data")
    images = dataset.splits["train"].images
    broken = images[5]
    assert isinstance(broken, Path)
    broken.write_bytes(b"no picture")
    with pytest.raises(DataFault, match=r"005\.png"):
        ClassificationTrainer().fit(tiny_config(tmp_path, dataset), Reports())
    empty = replace(dataset, splits={"train": dataset.splits["train"]})
    with pytest.raises(DataFault, match="no images in its val split"):
        ClassificationTrainer().fit(tiny_config(tmp_path, empty), Reports())
    boxes = DetectionDataset(dataset.identity, dataset.classes, {})
    with pytest.raises(DataFault, match="has boxes"):
        ClassificationTrainer().fit(replace(tiny_config(tmp_path), dataset=boxes), Reports())


@pytest.mark.parametrize("device", ["cuda:7", "gpu", "tpu"])
def test_a_device_that_is_not_here_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(BadSetting, match="--device"):
        ClassificationTrainer().fit(replace(tiny_config(tmp_path), device=device), Reports())


def test_the_library_is_as_talkative_after_a_training_as_before(tmp_path: Path, undrawn: None) -> None:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    ClassificationTrainer().fit(tiny_config(tmp_path, epochs=1), Reports())
    assert logger.level == before


def test_a_class_without_pictures_is_no_obstacle(tmp_path: Path, undrawn: None) -> None:
    dataset = replace(tiny_dataset(), classes=(*CLASSES, "unseen"))
    reports = Reports()
    recipe = {"class_weights": "balanced", "sampler": "balanced"}
    ClassificationTrainer().fit(tiny_config(tmp_path, dataset, **recipe), reports)
    assert "val/F1/unseen" not in reports[0].metrics
    assert all(np.isfinite(value) for value in reports[1].metrics.values())


@pytest.mark.slow
def test_torch_compile_learns_the_same_frozen_and_released(tmp_path: Path, undrawn: None) -> None:
    recipe: dict[str, Any] = {"freeze_epochs": 1, "lr": 0.001}
    plain, compiled = Reports(), Reports()
    ClassificationTrainer().fit(tiny_config(tmp_path, name="plain", **recipe), plain)
    result = ClassificationTrainer().fit(
        tiny_config(tmp_path, name="compiled", compile=True, **recipe), compiled
    )
    for one, other in zip(plain, compiled, strict=True):
        assert one.metrics["train/loss"] == pytest.approx(other.metrics["train/loss"], rel=1e-3)
    start = networks.build(tiny_recipe(), len(CLASSES), 0).state_dict()
    with safe_open(result.last_weights, framework="pt") as held:
        assert not torch.equal(held.get_tensor("conv1.0.weight"), start["conv1.0.weight"])


# torch.compile


class Switched:
    """A module that says what it trains with."""

    device = torch.device("cpu")
    backbone_frozen = False
    compiled = False

    def use_compiled(self) -> None:
        self.compiled = True

    def use_eager(self) -> None:
        self.compiled = False


def after_epochs(*seconds: float, epochs: int, module: Switched) -> list[bool]:
    choice, states = CompileChoice(), []
    for number, each in enumerate(seconds, start=1):
        choice.after_epoch(module, each, epochs - number)
        states.append(module.compiled)
    return states


def test_a_long_training_is_compiled_after_its_first_epoch() -> None:
    assert after_epochs(60.0, 100.0, 45.0, 80.0, epochs=40, module=Switched()) == [True] * 4


def test_a_compiled_network_that_is_not_faster_is_taken_back() -> None:
    assert after_epochs(60.0, 100.0, 61.0, 10.0, epochs=40, module=Switched()) == [True, True, False, False]


def test_a_short_training_is_not_compiled() -> None:
    assert after_epochs(5.0, 5.0, 5.0, epochs=20, module=Switched()) == [False] * 3


def test_frozen_epochs_are_not_measured() -> None:
    module = Switched()
    choice = CompileChoice()
    module.backbone_frozen = True
    choice.after_epoch(module, 600.0, 40)
    assert not module.compiled
    module.backbone_frozen = False
    choice.after_epoch(module, 600.0, 39)
    assert module.compiled


def test_without_a_compiler_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert after_epochs(60.0, 60.0, 60.0, epochs=40, module=Switched()) == [False] * 3
    assert "needs a C++ compiler" in capfd.readouterr().err


def test_the_choice_does_not_change_the_identity_of_a_training(tmp_path: Path) -> None:
    eager, auto = (tiny_config(tmp_path, compile=value) for value in (False, "auto"))
    assert identity_of(eager) == identity_of(auto)
