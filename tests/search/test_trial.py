"""What becomes of a trial that does not end well, whatever it is trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from mlops.data.dataset import ClassificationDataset, LabelledImages
from mlops.errors import Diverged
from mlops.search.run_book import RunBook
from mlops.search.trial import Bench, Fitter, run_trial
from mlops.tracking import Tracker
from mlops.tracking.delivery.book import DeliveryBook
from mlops.tracking.outbox.entries import EntryKind
from mlops.training.protocol import TrainResult
from mlops.training.threads import TrainingThreads
from tests.search.test_study import DATA, study_in

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    study = study_in(tmp_path)
    study.ensure_recipe_trial()
    two = LabelledImages(np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]))
    dataset = ClassificationDataset(DATA, ("a", "b"), {"train": two, "val": two, "test": two})
    with Tracker(tmp_path, AWAY, deliver=False) as tracker:
        tracker.start_run(study.key, experiment="e", name="study")
        yield Bench(study, dataset, tracker, RunBook(tracker, study, dataset), "cpu", TrainingThreads())


def breaking(error: BaseException) -> Fitter:
    """A training that writes its curves and a checkpoint, and then raises `error`."""

    def fit(_bench: Bench, _recipe: object, folder: Path, *_: object) -> TrainResult:
        (folder / "training" / "weights").mkdir(parents=True)
        (folder / "training" / "results.csv").write_text("epoch,train/loss\n1,nan\n")
        (folder / "training" / "weights" / "last.pt").write_bytes(b"a checkpoint")
        raise error

    return fit


def end_of(bench: Bench, error: BaseException) -> tuple[list[str], str]:
    """Run trial 0 into `error`; gives the artifacts kept and the run's last status."""
    claim = bench.study.claim(3, 0)
    assert claim is not None
    with suppress(KeyboardInterrupt):
        run_trial(replace(bench, elsewhere=breaking(error)), claim)
    claim.lock.release()
    book = DeliveryBook(bench.study.request.home)
    row = book.find_run(AWAY, bench.study.trial_key(0))
    assert row is not None
    kept = [entry.payload["path"] for entry in book.entries_of(row.id, EntryKind.ARTIFACT)]
    return kept, book.entries_of(row.id, EntryKind.STATUS)[-1].payload["status"]


def test_a_failed_trial_keeps_its_curves_and_the_reason_and_the_search_goes_on(bench: Bench) -> None:
    assert end_of(bench, Diverged("train/loss became NaN in epoch 1")) == (["training/results.csv"], "FAILED")
    trial = bench.study.optuna_study.trials[0]
    assert trial.state == optuna.trial.TrialState.FAIL
    assert trial.user_attrs["failure"].startswith("diverged: ")
    assert bench.study.claim(3, 0) is not None


def test_an_interrupted_trial_keeps_its_curves_and_stays_open(bench: Bench) -> None:
    assert end_of(bench, KeyboardInterrupt()) == (["training/results.csv"], "KILLED")
    assert bench.study.optuna_study.trials[0].state == optuna.trial.TrialState.RUNNING
