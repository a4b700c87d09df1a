"""What a folder tells of a run: its times, how it ended, and what makes it the same run."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops.errors import RunFault
from mlops.past_runs import read_past_run
from mlops.past_runs.read_folder import Told
from tests.past_runs.folders import EPOCH_S, HEADER, STARTED_S, line, run_folder, table


def test_epochs_have_the_times_at_which_they_ended(tmp_path: Path) -> None:
    past = read_past_run(run_folder(tmp_path / "a"))
    assert past.started_ms == STARTED_S * 1000
    assert [epoch.at_ms for epoch in past.epochs] == [
        int((STARTED_S + i * EPOCH_S) * 1000) for i in (1, 2, 3)
    ]
    assert [epoch.metrics["time/epoch_s"] for epoch in past.epochs] == [EPOCH_S] * 3


def test_a_copy_that_lost_its_times_starts_so_long_before_its_end_as_it_took(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    for file in ("args.yaml", "results.csv"):
        os.utime(folder / file, (STARTED_S + 9999, STARTED_S + 9999))
    assert read_past_run(folder).started_ms == int((STARTED_S + 9999 - 3 * EPOCH_S) * 1000)
    told = Told(started=datetime.fromtimestamp(STARTED_S, UTC))
    assert read_past_run(folder, told).started_ms == STARTED_S * 1000


def test_the_time_of_a_resumed_training_goes_on(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", results=table((1, 2)) + line(3, elapsed_s=200) + "\n")
    past = read_past_run(folder)
    assert past.epochs[2].at_ms == int((STARTED_S + 2 * EPOCH_S + 200) * 1000)
    assert past.epochs[2].metrics["time/epoch_s"] == 200


def test_without_a_time_column_no_epoch_gets_a_length(tmp_path: Path) -> None:
    past = read_past_run(run_folder(tmp_path / "a", results="epoch,val/mAP50\n1,0.5\n2,0.6\n3,0.7\n"))
    assert all("time/epoch_s" not in epoch.metrics for epoch in past.epochs)
    assert past.started_ms == STARTED_S * 1000 and past.ended_ms == int((STARTED_S + 3 * EPOCH_S + 5) * 1000)
    assert any("spread evenly" in warning for warning in past.warnings)


def status_of(folder: Path, **changes: object) -> tuple[str, str]:
    past = read_past_run(run_folder(folder, **changes))  # type: ignore[arg-type]
    return past.status, past.ended


def test_the_status_follows_the_stated_rules(tmp_path: Path) -> None:
    asked = "epochs: 100\npatience: {}\nname: a\n"
    two = table((1, 2))
    patient = "\n".join([HEADER, line(1, map50_95=0.9), *(line(i, map50_95=0.8) for i in range(2, 7))]) + "\n"
    nan = two + line(3).replace("0.166667", "nan") + "\n"
    assert status_of(tmp_path / "whole") == ("FINISHED", "3 of 3 epochs")
    assert status_of(tmp_path / "b", arguments=asked.format(5), results=patient)[0] == "FINISHED"
    assert status_of(tmp_path / "c", arguments=asked.format(6), results=patient)[0] == "KILLED"
    assert status_of(tmp_path / "d", arguments=asked.format(0), results=two, plot=True)[0] == "FINISHED"
    assert status_of(tmp_path / "e", arguments=asked.format(0), results=two)[0] == "KILLED"
    assert status_of(tmp_path / "f", arguments=asked.format(0), results=two, weights=False)[0] == "FAILED"
    assert status_of(tmp_path / "g", results=nan) == ("FAILED", "train/box_loss is NaN in the last epoch, 3")
    assert status_of(tmp_path / "h", results=HEADER + "\n") == ("FAILED", "no epoch was finished")
    assert status_of(tmp_path / "i", arguments=None)[0] == "FINISHED"
    for number, count in enumerate((".inf", "1" + "0" * 400)):  # no count: as if not said
        assert status_of(tmp_path / f"j{number}", arguments=f"epochs: {count}\n")[0] == "FINISHED"
    assert read_past_run(tmp_path / "e", Told(status="FAILED")).status == "FAILED"


def test_params_bear_a_recipes_names(tmp_path: Path) -> None:
    params = read_past_run(run_folder(tmp_path / "a")).params
    assert params == {"epochs": 3, "patience": 100, "image_size": 640, "lr0": 0.01, "name": "a"}


def test_every_file_is_kept_weights_apart_and_nothing_from_outside(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", plot=True)
    (tmp_path / "secret.txt").write_text("not of this run")
    (folder / "notes.txt").symlink_to(tmp_path / "secret.txt")
    (folder / ".cache").write_text("")
    past = read_past_run(folder)
    assert {f"{where}/{file.name}" for file, where in past.files.items()} == {
        "training/args.yaml",
        "training/results.csv",
        "training/results.png",
        "weights/best.pt",
        "weights/last.pt",
    }
    assert any("notes.txt links outside the folder" in warning for warning in past.warnings)
    assert all("weights" not in where for where in read_past_run(folder, Told(weights=False)).files.values())


def test_a_run_is_the_same_when_it_is_moved_and_when_it_has_grown(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", results=table((1, 2)))
    before = read_past_run(folder)
    assert read_past_run(folder).digest == before.digest
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "a"))
    assert (read_past_run(moved).identity, read_past_run(moved).digest) == (before.identity, before.digest)
    (folder / "results.csv").write_text(table((1, 2, 3)))
    grown = read_past_run(folder)
    assert grown.identity == before.identity and grown.digest != before.digest
    other = read_past_run(run_folder(tmp_path / "b", results=table((1, 2)).replace("0.5,", "0.51,")))
    assert other.identity != before.identity


def test_the_best_epoch_is_the_first_of_the_highest(tmp_path: Path) -> None:
    rows = [line(1, map50_95=0.0), line(2, map50_95=0.7), line(3, map50_95=0.7)]
    best = read_past_run(run_folder(tmp_path / "a", results="\n".join([HEADER, *rows]) + "\n")).best()
    assert best is not None and best.epoch == 2


def test_a_history_is_read_as_a_file_or_from_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bloodmnist"
    folder.mkdir()
    held = {"history": {"val_f1": [0.88, 0.98], "epoch_s": [300, 300]}, "params": {"epochs": 2}}
    (folder / "history.json").write_text(json.dumps(held))
    os.utime(folder / "history.json", (STARTED_S, STARTED_S))
    by_folder, by_file = read_past_run(folder), read_past_run(folder / "history.json")
    assert by_folder.identity == by_file.identity and by_folder.name == "bloodmnist"
    assert by_folder.started_ms == (STARTED_S - 600) * 1000 and by_folder.status == "FINISHED"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.mkdir(), "is an empty folder"),
        (lambda folder: run_folder(folder / "train"), "is not a run folder but contains 1"),
        (lambda folder: run_folder(folder, arguments="epochs: [3\n"), "args.yaml cannot be read"),
        (lambda folder: run_folder(folder, arguments="name: 2026-13-01\n"), "month must be in 1..12"),
        (lambda folder: run_folder(folder, arguments="name: !!bool x\n"), "args.yaml cannot be read"),
        (lambda folder: run_folder(folder, arguments="[" * 3000), "args.yaml cannot be read"),
        (lambda folder: run_folder(folder, arguments="- 3\n"), "expected a mapping"),
        (
            lambda folder: run_folder(folder, arguments="!!python/object/apply:os.getcwd []\n"),
            "cannot be read",
        ),
        (lambda folder: folder.write_text("x"), "is a file"),
    ],
)
def test_what_is_no_run_is_one_sentence(tmp_path: Path, make: object, says: str) -> None:
    make(tmp_path / "run")  # type: ignore[operator]
    with pytest.raises(RunFault) as caught:
        read_past_run(tmp_path / "run")
    assert says in str(caught.value) and "\n" not in str(caught.value)
