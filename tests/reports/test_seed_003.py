"""Seed 003's tables, fed in as a history.json, come back.

Inputs: 50 epochs of 5 minutes. val F1 rises from 88.51 % to 97.60 % in epoch 21, is 98.17 % in epoch 22,
97.80 % after it, and in the last five epochs what the seed lists. Accuracies and losses are straight lines
between the first and the last figure that the seed gives, with the best epoch's accuracy put in. Figures are
fed in with the digits that the seed's differences were made of: 0.88514 -> 88.51 %, 0.98036 -> 98.04 %,
0.99724 -> 99.72 %, 0.97996 -> 98.00 %.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlops.reports.reading.report_data import read_subject
from mlops.reports.report import report_of
from registry.policies.policy import load_policy
from registry.stages.criteria import criteria_of
from tests.reports.past import STARTED_S, Desk, line
from tests.reports.told import Told, column

LAST_FIVE = (0.9790, 0.9770, 0.9778, 0.9778, 0.98036)
CLASSES = ("basophil", "monocyte")
PARAMS = {"model": "efficientnet_lite0", "epochs": 50, "lr": 0.0001, "optimizer": "adamw", "batch": 32}
PARAMS |= {"accumulate": 2, "weight_decay": 0.0001, "patience": 10, "schedule": "cosine", "amp": True}


def _history() -> dict[str, object]:
    f1 = line((1, 0.88514), (21, 0.9760)) | {22: 0.9817} | dict.fromkeys(range(23, 46), 0.9780)
    f1 |= dict(zip(range(46, 51), LAST_FIVE, strict=True))
    accuracy = line((1, 0.894), (50, 0.97996)) | {22: 0.9821}
    columns = {
        "val_f1": f1,
        "val_acc": accuracy,
        "train_acc": line((1, 0.722), (50, 0.99724)),
        "train_loss": line((1, 0.87), (50, 0.0105)),
        "val_loss": line((1, 0.33), (50, 0.0700)),
        "val_F1/basophil": dict.fromkeys(f1, 0.96),
        "val_F1/monocyte": dict.fromkeys(f1, 0.97),
        "epoch_s": dict.fromkeys(f1, 300.0),
    }
    history = {name: [figures[epoch] for epoch in range(1, 51)] for name, figures in columns.items()}
    return {"history": history, "params": PARAMS, "started": STARTED_S}


@pytest.fixture(scope="module")
def run(desk: Desk) -> str:
    profile = {
        "pictures": {"train": 9755, "val": 1712},
        "classes": list(CLASSES),
        "counts": {"train": {"basophil": 852, "monocyte": 993}},
    }
    return desk.history("bloodmnist_full_exp", _history(), experiment="seed 003", profile=profile)


@pytest.fixture(scope="module")
def told(desk: Desk, run: str) -> Told:
    data = read_subject(desk.client, run)
    criteria = criteria_of(desk.client, data, load_policy("blood-cell-classifier"))
    return Told(report_of(replace(data, criteria=criteria)))


def test_peak_performance_and_its_epoch(told: Told) -> None:
    table = told.table("Final and best metrics")
    assert table["val macro F1"]["epoch 22, best"] == "0.9817"
    assert table["val accuracy"]["epoch 22, best"] == "0.9821"
    assert "epoch 22 of 50 (44 % of all epochs)" in told.words("Convergence")
    assert told.facts("Overview")["best epoch"].startswith("22 (44 %")


def test_final_epoch_performance(told: Told) -> None:
    last = {name: cells["epoch 50, last"] for name, cells in told.table("Final and best metrics").items()}
    assert last["val macro F1"] == "0.9804"
    assert last["val accuracy"] == "0.9800"
    assert (last["train loss"], last["val loss"]) == ("0.0105", "0.0700")


def test_learning_progress_from_first_to_last_epoch(told: Told) -> None:
    table = told.table("Progression", "first against last")["val macro F1"]
    assert table == {"epoch 1": "0.8851", "epoch 50": "0.9804", "change": "+9.52 points"}


def test_convergence_is_found_where_the_seed_saw_it(told: Told) -> None:
    assert "From epoch 22 on it rose by no more than 0.5 % of its best" in told.words("Convergence")


def test_training_and_validation_accuracy_gap_with_its_grade(told: Told) -> None:
    table = told.table("Generalisation")["accuracy, epoch 50"]
    assert table == {
        "training": "0.9972",
        "validation": "0.9800",
        "gap": "+1.73 points",
        "grade": "excellent",
    }


def test_losses_from_first_to_last_epoch(told: Told) -> None:
    table = told.table("Losses", "first against last")
    assert float(table["train loss"]["epoch 1"]) == 0.87
    assert float(table["val loss"]["epoch 1"]) == 0.33


def test_no_oscillation_no_divergence_no_overfitting(told: Told) -> None:
    says = told.words("Anomalies")
    quiet = says.partition("Checked and not found: ")[2].partition(".")[0].split(", ")
    assert {"divergence", "oscillation", "over-fitting gap", "over-fitting loss"} <= set(quiet)


def test_stability_of_the_last_five_epochs(told: Told) -> None:
    table = told.table("Stability", "the last 5 epochs")
    assert column(table, "val macro F1") == ["0.9790", "0.9770", "0.9778", "0.9778", "0.9804"]
    assert "standard deviation of 0.12 points" in told.words("Stability")


def test_success_criteria_with_minimum_target_and_stretch(told: Told) -> None:
    table = told.table("Success criteria")
    assert table["val/macro_f1 floor"]["minimum"] == ">= 0.85"
    assert table["val/macro_f1 floor"]["target"] == ">= 0.9"
    assert table["val/macro_f1 floor"]["stretch"] == ">= 0.93"
    assert table["val/macro_f1 floor"]["reached"] == "0.9817"
    assert table["val/macro_f1 floor"]["level"] == "stretch"
    assert table["val/F1 per class"]["level"] == "target"


def test_what_was_never_measured_is_said_to_be_so(told: Told) -> None:
    """The seed: 'to be confirmed on test set'."""
    table = told.table("Success criteria")
    assert table["test/macro_f1 - val/macro_f1 gap"]["level"] == "not measured"
    assert table["test/F1 per class"]["reached"] == "-"
    assert "No metrics on held-out data" in told.words("Final and best metrics")


def test_training_time(told: Told) -> None:
    facts = told.facts("Time and machine")
    assert facts["all epochs together"] == "4.2 h"
    assert facts["one epoch, mean"] == "5.0 min"


def test_training_configuration(told: Told) -> None:
    facts = told.facts("Configuration")
    assert (facts["optimizer"], facts["learning rate"], facts["weight decay"]) == (
        "adamw",
        "0.0001",
        "0.0001",
    )
    assert (facts["batch size"], facts["accumulated batches"], facts["patience"]) == ("32", "2", "10")


def test_samples_of_each_class(told: Told) -> None:
    table = told.table("Data set", "samples of each class")
    assert column(table, "train") == ["852", "993"]
    assert told.facts("Data set")["images, train"] == "9,755"
