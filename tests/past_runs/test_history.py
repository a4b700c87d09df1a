"""What is read from a history.json, in each of its shapes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mlops.errors import RunFault
from mlops.past_runs.history_json import TrainingHistory, read_history


def read(folder: Path, held: object) -> TrainingHistory:
    file = folder / "history.json"
    file.write_text(held if isinstance(held, str) else json.dumps(held))
    return read_history(file)


def test_a_keras_history_counts_its_epochs_by_their_order(tmp_path: Path) -> None:
    rows = read(tmp_path, {"loss": [0.87, 0.4], "val_accuracy": [0.894, 0.9], "lr": [1e-4, 5e-5]}).rows.rows
    assert [row.epoch for row in rows] == [1, 2]
    assert rows[1].metrics == {"train/loss": 0.4, "val/accuracy": 0.9, "lr/all": 5e-5}


def test_a_list_of_epochs_may_hold_objects_and_nulls_and_count_from_0(tmp_path: Path) -> None:
    epochs = [
        {
            "epoch": 0,
            "train_loss": 0.9,
            "val": {"f1": 0.7, "f1_per_class": {"monocyte": 0.59}},
            "note": "cold",
        },
        {"epoch": 1, "train_loss": None, "val": {"f1": 0.8, "f1_per_class": {"monocyte": 0.61}}, "note": ""},
    ]
    rows = read(tmp_path, epochs).rows
    assert [row.epoch for row in rows.rows] == [1, 2]
    assert rows.rows[0].metrics == {"train/loss": 0.9, "val/macro_f1": 0.7, "val/F1/monocyte": 0.59}
    assert rows.rows[1].metrics == {"val/macro_f1": 0.8, "val/F1/monocyte": 0.61}
    assert len(rows.warnings) == 1 and "note is ignored" in rows.warnings[0]


def test_lightnings_rows_of_one_epoch_are_put_together(tmp_path: Path) -> None:
    epochs = [
        {"epoch": 0, "step": 9, "train_loss_step": 0.95, "train_loss_epoch": 0.9, "val_acc": None},
        {"epoch": 0, "step": 9, "train_loss_epoch": None, "val_acc": 0.7},
    ]
    (row,) = read(tmp_path, epochs).rows.rows
    assert row.metrics == {"train/loss": 0.9, "val/accuracy": 0.7}


def test_params_start_and_seconds_are_read_from_around_it(tmp_path: Path) -> None:
    held = {
        "history": {"loss": [0.9, math.nan], "epoch_time": [300, 310]},
        "params": {"lr": 1e-4, "epochs": 50, "notes": None},
        "started": "2025-10-21T09:00:00+00:00",
    }
    history = read(tmp_path, held)
    assert history.params == {"lr": 1e-4, "epochs": 50}
    assert history.started_ms == 1_761_037_200_000
    assert [row.epoch_s for row in history.rows.rows] == [300.0, 310.0]
    assert math.isnan(history.rows.rows[1].metrics["train/loss"]) and len(history.rows.warnings) == 1


def test_a_whole_number_that_no_float_holds_is_not_finite(tmp_path: Path) -> None:
    history = read(tmp_path, [{"loss": 10**400, "epoch_time": 10**400}, {"loss": 1}])
    assert history.rows.rows[0].epoch_s is None
    assert math.isnan(history.rows.rows[0].metrics["train/loss"]) and "not finite" in history.rows.warnings[0]


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ('{"loss": [0.9, 0.', "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ({"loss": [0.9, 0.8], "val_loss": [0.9]}, "val_loss has 1 epochs and loss 2"),
        ({"loss": 0.9}, "loss is not a list"),
        ([1, 2], "neither an object of lists nor a list of epochs"),
        ([{"epoch": 1.5, "loss": 1}], "epoch 1.5"),
        ({"history": {"loss": [1]}, "started": "yesterday"}, "'yesterday' is not a time"),
        ({"history": {"loss": [1]}, "params": [1]}, "params is list"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, held: object, says: str) -> None:
    with pytest.raises(RunFault) as caught:
        read(tmp_path, held)
    assert says in str(caught.value) and "\n" not in str(caught.value)
