"""What is read from a results.csv, whatever state it is in."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mlops.errors import RunFault
from mlops.past_runs.past_run import Rows
from mlops.past_runs.results_csv import read_table
from tests.past_runs.folders import HEADER, line, table


def read(folder: Path, text: str) -> Rows:
    file = folder / "results.csv"
    file.write_text(text)
    return read_table(file)


def test_figures_come_back_as_they_were_written_under_our_names(tmp_path: Path) -> None:
    rows = read(tmp_path, table((1, 2, 3)))
    assert [row.epoch for row in rows.rows] == [1, 2, 3] and rows.warnings == ()
    assert rows.rows[0].elapsed_s == 246.0
    assert rows.rows[0].metrics == {
        "train/box_loss": 0.5,
        "train/cls_loss": 0.4,
        "train/dfl_loss": 0.9,
        "val/precision": 0.91,
        "val/recall": 0.89,
        "val/mAP50": 0.942,
        "val/mAP50-95": 0.801,
        "val/box_loss": 0.58,
        "val/cls_loss": 0.46,
        "val/dfl_loss": 0.9,
        "lr/pg0": 0.01,
        "lr/pg1": 0.01,
        "lr/pg2": 0.01,
    }


def test_padded_headers_and_epochs_from_0_of_older_versions_are_read(tmp_path: Path) -> None:
    padded = "                  epoch,         train/box_loss,   metrics/mAP50(B)\n"
    padded += "                      0,                 0.5680,            0.94200\n"
    padded += "                      1,                 0.5100,            0.94300\n\n"
    rows = read(tmp_path, padded)
    assert [(row.epoch, row.metrics["val/mAP50"]) for row in rows.rows] == [(1, 0.942), (2, 0.943)]
    assert rows.warnings == ()


def test_our_own_names_and_those_of_yolov5_are_understood(tmp_path: Path) -> None:
    rows = read(tmp_path, "epoch,val/AP50/bird nest,metrics/mAP_0.5:0.95,x/lr0\n1,0.96,0.8,0.01\n")
    assert rows.rows[0].metrics == {"val/AP50/bird nest": 0.96, "val/mAP50-95": 0.8, "lr/pg0": 0.01}


def test_nan_stays_nan_and_is_told(tmp_path: Path) -> None:
    rows = read(tmp_path, table((1,)) + line(2).replace("0.25", "nan").replace("0.58", "inf") + "\n")
    assert math.isnan(rows.rows[1].metrics["train/box_loss"])
    assert math.isnan(rows.rows[1].metrics["val/box_loss"])
    assert len(rows.warnings) == 2 and "results.csv:3: train/box_loss is not finite" in rows.warnings[0]


@pytest.mark.parametrize("cut", [8, 30, 60])
def test_a_last_line_that_is_cut_short_is_left_out_and_told(tmp_path: Path, cut: int) -> None:
    rows = read(tmp_path, table((1, 2)) + line(3)[:cut])
    assert [row.epoch for row in rows.rows] == [1, 2]
    assert len(rows.warnings) == 1 and "results.csv:4: the last line is incomplete" in rows.warnings[0]


def test_zeros_that_a_power_cut_left_are_a_line_cut_short(tmp_path: Path) -> None:
    rows = read(tmp_path, table((1, 2)) + "\0" * 64)
    assert [row.epoch for row in rows.rows] == [1, 2] and "incomplete" in rows.warnings[0]


def test_of_an_epoch_done_twice_the_later_row_counts(tmp_path: Path) -> None:
    rows = read(tmp_path, table((1, 2)) + line(2, elapsed_s=7.5) + "\n" + line(3, elapsed_s=15) + "\n")
    assert [(row.epoch, row.elapsed_s) for row in rows.rows] == [(1, 246.0), (2, 7.5), (3, 15.0)]
    assert "epoch 2 is a duplicate" in rows.warnings[0]


def test_an_empty_table_has_no_epochs(tmp_path: Path) -> None:
    assert read(tmp_path, "").rows == () and read(tmp_path, HEADER + "\n").rows == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (table((1,)) + "2,492,0.1\n" + line(3) + "\n", "results.csv:3: 3 columns, but the header has 15"),
        (table((1,)) + line(2) + ",1,2\n", "results.csv:3: 17 columns, but the header has 15"),
        (table((1,)) + line(2).replace("0.25", "low") + "\n" + line(3) + "\n", "train/box_loss is 'low'"),
        (table((1,)) + "x" + line(2) + "\n" + line(3) + "\n", "epoch is 'x2'"),
        ("step,loss\n1,0.5\n", "no column 'epoch'"),
        ("epoch,loss,loss\n1,0.5,0.4\n", "the column 'loss' more than once"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RunFault) as caught:
        read(tmp_path, text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_picture_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(RunFault, match="not valid UTF-8"):
        read_table(tmp_path / "results.csv")
