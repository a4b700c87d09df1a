"""Seed 000's tables, fed in as the results.csv and args.yaml that they were written from, come back.

Inputs: the epochs that the tables give and no others, with the tables' figures; a cell that no table gives is
empty. args.yaml holds the figures of 1.1 and 1.2.
"""

from __future__ import annotations

import pytest

from mlops.reports.document import Report
from mlops.reports.sections import stored_files
from mlops.reports.tracked_facts import ReportData, RunFacts, StoredFile
from tests.reports.past import Desk
from tests.reports.told import Told, column

PROGRESSION = {  # 2.2: mAP50, mAP50-95, precision, recall
    10: ("0.473", "0.204", "0.457", "0.526"),
    30: ("0.739", "0.382", "0.744", "0.634"),
    50: ("0.768", "0.411", "0.759", "0.679"),
    70: ("0.773", "0.420", "0.755", "0.685"),
    90: ("0.774", "0.422", "0.760", "0.683"),
    110: ("0.782", "0.425", "0.767", "0.690"),
    130: ("0.781", "0.422", "0.761", "0.693"),
}
LOSSES = {  # 2.3: box, cls, dfl
    1: ("1.915", "5.111", "0.023"),
    50: ("1.343", "1.133", "0.015"),
    100: ("1.202", "0.908", "0.013"),
    130: ("1.121", "0.804", "0.012"),
}
ARGUMENTS = {
    "model": "yolo26m",
    "imgsz": 768,
    "batch": 24,
    "epochs": 300,
    "optimizer": "SGD",
    "lr0": 0.002,
    "lrf": 0.01,
    "patience": 30,
    "device": 0,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "warmup_epochs": 5.0,
    "box": 7.5,
    "cls": 0.5,
    "dfl": 1.5,
    "mosaic": 0.2,
    "mixup": 0.1,
    "copy_paste": 0.3,
    "degrees": 0.0,
    "flipud": 0.0,
    "fliplr": 0.5,
    "scale": 0.5,
}


@pytest.fixture(scope="module")
def told(desk: Desk) -> Told:
    figures = ("metrics/mAP50(B)", "metrics/mAP50-95(B)", "metrics/precision(B)", "metrics/recall(B)")
    losses = ("train/box_loss", "train/cls_loss", "train/dfl_loss")
    columns = {name: {e: float(row[i]) for e, row in PROGRESSION.items()} for i, name in enumerate(figures)}
    columns |= {name: {e: float(row[i]) for e, row in LOSSES.items()} for i, name in enumerate(losses)}
    return desk.told(desk.ultralytics("yolo26m_v2_optimized", columns, ARGUMENTS, experiment="seed 000"))


def test_training_progression(told: Told) -> None:
    table = told.table("Progression", "milestone")
    assert {int(epoch): tuple(cells.values()) for epoch, cells in table.items()} == PROGRESSION


def test_loss_curves(told: Told) -> None:
    table = told.table("Losses", "milestone")
    assert {int(e): tuple(c.values()) for e, c in table.items() if int(e) in LOSSES} == LOSSES


def test_final_figures(told: Told) -> None:
    table = told.table("Final and best metrics")
    last = {name: cells["epoch 130, last"] for name, cells in table.items()}
    assert last["val mAP50"] == "0.781"
    assert last["val mAP50-95"] == "0.422"
    assert last["val precision"] == "0.761"
    assert last["val recall"] == "0.693"
    assert last["train box loss"] == "1.121"
    assert last["train cls loss"] == "0.804"


def test_configuration_and_hyperparameters(told: Told) -> None:
    first = told.facts("Configuration")
    assert (first["model"], first["image size"], first["batch size"]) == ("yolo26m", "768", "24")
    assert (first["optimizer"], first["learning rate"], first["patience"]) == ("SGD", "0.002", "30")
    assert first["final learning rate, as a fraction"] == "0.01"
    every = {name: cells["value"] for name, cells in told.table("Configuration", "all").items()}
    renamed = {"imgsz": "image_size"}
    assert {renamed.get(name, name): str(value) for name, value in ARGUMENTS.items()} == every


def test_epochs_and_that_they_were_fewer_than_planned(told: Told) -> None:
    assert told.facts("Overview")["epochs"] == "130 of 300 planned"


def test_saved_weights_with_their_sizes() -> None:
    """Inputs: the sizes of 3.1, as bytes of 10^6 a MB."""
    names = {"best.pt": 44, "last.pt": 44, "epoch0.pt": 88, "epoch10.pt": 88, "epoch120.pt": 88}
    files = tuple(StoredFile(f"weights/{name}", size * 1_000_000) for name, size in names.items())
    section = stored_files.build(ReportData("run", RunFacts("r", "r", files=files)))
    told = Told(Report("", "", (section,))).table("Checkpoints")
    assert list(told) == [f"weights/{name}" for name in names]
    assert column(told, "size") == ["44 MB", "44 MB", "88 MB", "88 MB", "88 MB"]
