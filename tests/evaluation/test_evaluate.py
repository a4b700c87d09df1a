"""`mlops evaluate`: what is measured, what is kept on the run, what is done once and not again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, f1_score

from mlops.cli.main import run
from mlops.store.client import connect
from tests.evaluation.colours import CELLS, Known, classifier, detector, write_cells

Told = dict[str, object]


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> Told:
    """What the command prints as JSON."""
    assert run(["evaluate", *arguments, "--threads", "1", "--json"]) == 0
    told: Told = json.loads(capsys.readouterr().out)
    return told


def metrics(client: MlflowClient, known: Known) -> dict[str, float]:
    return dict(client.get_run(known.run_id).data.metrics)


def files(client: MlflowClient, known: Known, folder: str) -> set[str]:
    return {item.path.rpartition("/")[2] for item in client.list_artifacts(known.run_id, folder)}


def test_a_classifiers_figures_are_scikit_learns_of_the_table_on_its_run(
    cells: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    told = measured(capsys, "cells", "--examples", "0")
    assert told["predicted"] is True and told["pictures"] == 12
    table = pd.read_parquet(client.download_artifacts(cells.run_id, "test/predictions.parquet"))
    assert accuracy_score(table.label, table.predicted) == pytest.approx(10 / 12)  # two are of another colour
    kept = metrics(client, cells)
    assert kept["test/accuracy"] == pytest.approx(10 / 12)
    assert kept["test/macro_f1"] == pytest.approx(f1_score(table.label, table.predicted, average="macro"))
    assert {"test/calibration/ECE", "test/AUC/amber", "test/recall/cobalt"} <= kept.keys()
    assert kept == told["metrics"]
    assert told["sheets"][0]["rows"][0][0] == "0.833"  # type: ignore[index]  # of 12 pictures no more shows
    drawn = files(client, cells, "evaluation/test")
    assert drawn == {
        *("confusion_matrix.png", "confusion_matrix_normalized.png", "reliability.png"),
        *("ROC_curve.png", "PR_curve.png", "P_curve.png", "R_curve.png", "F1_curve.png"),
    }


def test_the_second_time_nothing_is_asked_and_nothing_is_doubled(
    cells: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    first = measured(capsys, "cells/1", "--examples", "0")
    (cells.files / "model.onnx").write_bytes(_answers_nothing((cells.files / "model.onnx").read_bytes()))
    second = measured(capsys, cells.run_id, "--examples", "0")
    assert second["predicted"] is False
    assert second["metrics"] == first["metrics"]
    for name in first["metrics"]:  # type: ignore[attr-defined]
        assert len(client.get_metric_history(cells.run_id, name)) == 1


def _answers_nothing(content: bytes) -> bytes:
    """The same network with a gain of 0: whoever asked it would hear that all classes are alike."""
    from onnx import load_from_string, numpy_helper

    model = load_from_string(content)
    for held in model.graph.initializer:
        if held.name == "gain":
            held.CopyFrom(numpy_helper.from_array(np.array(0, np.float32), "gain"))
    return bytes(model.SerializeToString())


def test_asked_again_its_table_lies_beside_the_one_that_releases_were_judged_by(
    cells: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    measured(capsys, "cells", "--examples", "0")
    before = Path(client.download_artifacts(cells.run_id, "test/predictions.parquet")).read_bytes()
    told = measured(capsys, "cells", "--again", "--examples", "0")
    assert told["predicted"] is True
    assert "predictions.parquet" in files(client, cells, "evaluation/test")
    assert Path(client.download_artifacts(cells.run_id, "test/predictions.parquet")).read_bytes() == before


def test_what_training_measured_stays_and_a_difference_is_told(
    cells: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    client.log_metric(cells.run_id, "test/accuracy", 0.5)
    told = measured(capsys, "cells", "--examples", "0")
    assert metrics(client, cells)["test/accuracy"] == 0.5
    assert told["notes"] == [
        "test/accuracy is 0.8333 here but 0.5000 in training; the run keeps the value of training"
    ]


def test_the_gap_between_the_splits_is_that_of_the_best_epoch(
    cells: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    for step, value in enumerate((0.7, 0.95, 0.99), start=1):
        client.log_metric(cells.run_id, "train/accuracy", value, step=step)
    for name, value in (("best/epoch", 2), ("best/val/accuracy", 0.9)):
        client.log_metric(cells.run_id, name, value)
    found = measured(capsys, "cells", "--examples", "0")["metrics"]
    assert found["test/gap/train-val/accuracy"] == pytest.approx(0.05)  # type: ignore[index]
    assert found["test/gap/val-test/accuracy"] == pytest.approx(0.9 - 10 / 12)  # type: ignore[index]


def test_a_detectors_threshold_is_chosen_on_val_and_applied_to_test(
    rails: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    told = measured(capsys, "rails", "--examples", "0", "--threshold-rule", "recall>=0.6")
    assert told["threshold_from"] == "chosen on val (4 images)"
    # three of four objects have a sure box; the fourth, in picture 2, a faint one beside one of another class
    val = pd.read_parquet(client.download_artifacts(rails.run_id, "val/boxes.parquet"))
    found = val[val.matched.eq(True)]
    assert told["threshold"] == pytest.approx(sorted(found.score)[-3], abs=1e-6)
    kept = metrics(client, rails)
    assert kept["test/chosen/recall"] == pytest.approx(3 / 4)
    assert [kept[f"test/images/{name}"] for name in ("TP", "TN", "FP", "FN")] == [3, 1, 0, 0]
    assert kept["test/images/sensitivity"] == 1 and kept["test/images/specificity"] == 1
    assert "test/froc/score" not in kept
    assert {"BoxPR_curve.png", "BoxF1_curve.png", "confusion_matrix.png"} <= files(
        client, rails, "evaluation/test"
    )


def test_a_medical_detector_is_measured_by_froc_and_chosen_by_f2(
    working_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = detector(connect(), working_directory, "scans", system="xray-detector")
    told = measured(capsys, "scans", "--examples", "0")
    assert told["threshold_rule"] == "F2"
    assert metrics(connect(), known)["test/froc/score"] > 0
    assert "froc.png" in files(connect(), known, "evaluation/test")


def test_pictures_asked_mirrored_too_are_a_mean_and_cost_as_many_looks(
    cells: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    client.log_param(cells.run_id, "hflip", 0.5)
    client.log_param(cells.run_id, "vflip", 0.0)
    (way,) = measured(capsys, "cells", "--tta", "--examples", "0")["variants"]  # type: ignore[misc]
    assert way["calls"] == 2
    assert way["metrics"] == pytest.approx(way["alone"])  # a mean colour is the same in a mirror
    assert metrics(client, cells)["test/tta/accuracy"] == pytest.approx(10 / 12)
    assert way["latency_ms"] > 0


def test_mirrored_boxes_come_back_where_they_are(rails: Known, capsys: pytest.CaptureFixture[str]) -> None:
    client = connect()
    client.log_param(rails.run_id, "fliplr", 0.5)
    client.log_param(rails.run_id, "flipud", 0.5)
    (way,) = measured(capsys, "rails", "--tta", "--examples", "0")["variants"]  # type: ignore[misc]
    assert way["calls"] == 4
    assert way["metrics"]["mAP50-95"] == pytest.approx(way["alone"]["mAP50-95"], abs=1e-6)
    assert way["alone"]["mAP50-95"] > 0.5


def test_versions_that_vote_together_are_weighed_against_the_one(
    cells: Known, working_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = classifier(connect(), working_directory, gain=0.5)
    told = measured(capsys, cells.name, "--with", other.name, "--examples", "0")
    (way,) = told["variants"]  # type: ignore[misc]
    assert way["key"] == "with/cells-2" and way["calls"] == 2
    assert way["metrics"]["accuracy"] == pytest.approx(10 / 12)
    assert way["metrics"]["ECE"] != pytest.approx(way["alone"]["ECE"])
    assert metrics(connect(), cells)["test/with/cells-2/accuracy"] == pytest.approx(10 / 12)
    assert not metrics(connect(), other)  # the other's run is only read


def test_other_data_are_measured_apart_where_they_are_asked_for(
    cells: Known, working_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = working_directory / "elsewhere"
    write_cells(other, seed=9)
    told = measured(capsys, "cells", "--data", str(other), "--other-data", "--examples", "0")
    place = f"test-{str(told['digest'])[:8]}"
    kept = metrics(connect(), cells)
    assert kept[f"{place}/accuracy"] == pytest.approx(10 / 12)
    assert "test/accuracy" not in kept
    assert files(connect(), cells, place) == {"predictions.parquet"}


def _a_file_for_a_folder(known: Known, folder: Path) -> tuple[list[str], str]:
    (folder / "taken").write_text("")
    return [known.name, "--out", str(folder / "taken" / "out")], "taken is a file; choose a folder"


Case = Callable[[Known, Path], tuple[list[str], str]]


def _empty_split(known: Known, folder: Path) -> tuple[list[str], str]:
    write_cells(folder / "no-test", splits=("train", "val"))
    asked = ["--data", str(folder / "no-test"), "--other-data"]
    return [known.name, *asked], "has no images in its test split; use --split train"


def _other_digest(known: Known, folder: Path) -> tuple[list[str], str]:
    write_cells(folder / "other", seed=5)
    return [known.name, "--data", str(folder / "other")], "cells/1 was trained on"


def _other_classes(known: Known, folder: Path) -> tuple[list[str], str]:
    write_cells(folder / "renamed", seed=5)
    for split in ("train", "val", "test"):
        (folder / "renamed" / split / "amber").rename(folder / "renamed" / split / "azure")
    asked = ["--data", str(folder / "renamed"), "--other-data"]
    return [known.name, *asked], f"cells/1 has {', '.join(CELLS)}"


def _no_model(known: Known, folder: Path) -> tuple[list[str], str]:
    made = connect().create_run(connect().get_run(known.run_id).info.experiment_id)
    return [made.info.run_id], "has no model"


def _damaged_model(known: Known, folder: Path) -> tuple[list[str], str]:
    (known.files / "model.onnx").write_bytes(b"no network")
    return [known.name], "cannot be run"


def _deleted(known: Known, folder: Path) -> tuple[list[str], str]:
    connect().delete_run(known.run_id)
    return [known.name], "was deleted"


def _picture_gone(known: Known, folder: Path) -> tuple[list[str], str]:
    (known.data / "test" / "amber" / "0.png").write_bytes(b"no picture")
    return [known.name, "--other-data"], "0.png"


@pytest.mark.parametrize(
    "case",
    [
        lambda known, folder: (["nope"], "no registered model 'nope'"),
        lambda known, folder: (["cells/7"], "cells/7"),
        lambda known, folder: (["cells@staging"], "cells has no alias @staging; its aliases: none"),
        lambda known, folder: (["0" * 32], "not found"),
        lambda known, folder: ([known.name, "--threshold-rule", "best"], "allowed: F1, F2"),
        lambda known, folder: ([known.name, "--with", known.name], "is cells/1 itself"),
        lambda known, folder: ([known.name, "--data", "nowhere"], "nowhere"),
        _empty_split,
        _other_digest,
        _other_classes,
        _no_model,
        _damaged_model,
        _deleted,
        _picture_gone,
        _a_file_for_a_folder,
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_kept(
    case: Case, cells: Known, working_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, says = case(cells, working_directory)
    capsys.readouterr()
    assert run(["evaluate", *arguments]) == 2
    told = capsys.readouterr()
    assert says in told.err and told.err.count("\n") == 1 and not told.out
    client = connect()
    assert not metrics(client, cells) and not client.list_artifacts(cells.run_id)


def test_versions_that_answer_otherwise_do_not_vote(
    cells: Known, rails: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", cells.name, "--with", rails.name]) == 2
    assert "cannot ensemble" in capsys.readouterr().err
    assert not metrics(connect(), cells)
