"""`mlops compare` on a real store: what it says, what it writes, and what it refuses."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from PIL import Image

from mlops.cli.main import run
from mlops.metrics.box_ap import coco_figures
from tests.command import REPOSITORY
from tests.comparison.trainings import OTHER_DATA, Trained, answers, log_training, register
from tests.metrics.box_tables import CLASSES, made_boxes

if TYPE_CHECKING:
    from mlflow import MlflowClient

Store = tuple["MlflowClient", Path]
FAST = ["--draws", "200"]
LATENCY = {"threads": 1, "calls": 20, "size_bytes": 1000, "onnx_digest": "0"}


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["compare", *arguments, *FAST, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["compare", *arguments, *FAST]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.count("\n") == 1
    return caught.err


def _latency(device: str, p50_ms: float) -> dict[str, str]:
    held = {**LATENCY, "device": device, "p50_ms": p50_ms, "p95_ms": 2 * p50_ms}
    return {"mlops.latency": json.dumps(held)}


def test_two_detectors_are_compared_by_pycocotools_figures(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [made_boxes(1, 40, shift=8.0), made_boxes(2, 40, shift=0.5)]
    costs = [{"model/parameters": 10e6}, {"model/parameters": 22e6}]
    runs = [
        log_training(*store, Trained(table, recipe=f"r{number}", metrics=metrics))
        for number, (table, metrics) in enumerate(zip(tables, costs, strict=True))
    ]
    first, second = (
        register(*store, run_id, tags=_latency("CPU, 2 cores", 8.0 + 2 * number))
        for number, run_id in enumerate(runs)
    )
    found = _json(capsys, first, f"models:/{second}", "--threshold", "0.5")
    figures = {each["figure"]: each for each in found["candidates"][0]["figures"]}
    for side, table in zip(("baseline", "candidate"), tables, strict=True):
        theirs = coco_figures(table, CLASSES)
        assert figures["mAP50-95"][side] == pytest.approx(theirs.map50_95, abs=1e-3)
        assert figures["mAP50"][side] == pytest.approx(theirs.map50, abs=1e-3)
    assert figures["mAP50-95"]["verdict"] == "better"
    assert found["recommendation"]["choice"] == second
    assert {f"AP50/{name}" for name in CLASSES} == {
        each["figure"] for each in found["candidates"][0]["classes"]
    }
    facts = {each["fact"]: each for each in found["candidates"][0]["facts"]}
    assert facts["parameters"]["relative"] == pytest.approx(1.2)
    assert facts["ONNX file"]["candidate"] == 1000
    assert facts["training time"]["baseline"] == 20
    assert facts["latency p50"]["relative"] == pytest.approx(0.25)


def test_two_classifiers_get_mcnemar_and_every_class(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    good, fair = (
        log_training(*store, Trained(answers(right, 1), recipe=str(right))) for right in (0.95, 0.8)
    )
    found = _json(capsys, good, fair)
    against = found["candidates"][0]
    assert [each["figure"] for each in against["figures"]] == ["macro_f1", "accuracy"]
    assert {each["figure"] for each in against["classes"]} == {f"F1/{name}" for name in CLASSES}
    assert against["mcnemar"]["only_baseline"] > against["mcnemar"]["only_candidate"]
    assert (against["figures"][0]["verdict"], found["recommendation"]["choice"]) == (
        "worse",
        found["baseline"]["name"],
    )


def test_what_is_close_is_said_to_be_not_distinguishable(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [log_training(*store, Trained(answers(0.8, seed, 60), recipe=str(seed))) for seed in (1, 2)]
    assert run(["compare", *runs, *FAST]) == 0
    said = capsys.readouterr().out
    assert "not distinguishable" in said
    assert "images are needed, instead of 60" in said
    assert f"Recommended: run {runs[0][:8]}" not in said  # the baseline is named by study and run
    assert "Keep " in said


def test_seeds_of_one_configuration_are_one_side(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    base = [log_training(*store, Trained(answers(0.8, seed), seed=seed)) for seed in (0, 1, 2)]
    other = [
        log_training(*store, Trained(answers(0.93, 7 + seed), seed=seed, recipe="r2")) for seed in (0, 1, 2)
    ]
    found = _json(capsys, *base, *other)
    assert found["baseline"]["seeds"] == ["0", "1", "2"]
    (against,) = found["candidates"]
    assert against["candidate"]["runs"] == other
    assert against["figures"][0]["candidate_sd"] > 0
    assert against["mcnemar"] is None
    assert "3 seeds" in against["candidate"]["name"]
    apart = _json(capsys, *base, *other, "--apart")
    assert len(apart["candidates"]) == 5


def test_all_are_compared_with_the_baseline(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    names = [log_training(*store, Trained(answers(r, 1), recipe=str(r)), f"at {r}") for r in (0.7, 0.8, 0.9)]
    found = _json(capsys, *names, "--baseline", names[1])
    assert found["baseline"]["runs"] == [names[1]]
    assert [each["candidate"]["runs"] for each in found["candidates"]] == [[names[0]], [names[2]]]
    assert found["recommendation"]["choice"].startswith("at 0.9")


def test_a_study_stands_for_its_best_trial(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    client, folder = store
    other = log_training(client, folder, Trained(answers(0.8, 1)))
    experiment = client.get_experiment_by_name("lines").experiment_id
    tags = {"mlops.kind": "study", "mlops.study": "night run", "mlops.best_trial": "0"}
    study = client.create_run(experiment, tags=tags).info.run_id
    best = log_training(client, folder, Trained(answers(0.9, 2), recipe="r2"), parent=study)
    for named in ("night run", study):
        found = _json(capsys, other, named)
        assert found["candidates"][0]["candidate"]["runs"] == [best]


def test_grown_training_data_are_told_where_the_test_is_the_same(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    small = log_training(*store, Trained(answers(0.8, 1), trained_on=296, digest=OTHER_DATA, recipe="small"))
    full = log_training(*store, Trained(answers(0.97, 1), trained_on=9755, recipe="full"))
    found = _json(capsys, small, full)
    growth = found["candidates"][0]["growth"]
    assert growth["factor"] == pytest.approx(9755 / 296)
    difference = found["candidates"][0]["figures"][0]["difference"]
    assert growth["points"]["macro_f1"] == pytest.approx(100 * difference)
    assert run(["compare", small, full, *FAST]) == 0
    assert "Trained on 9,755 images, 33x the baseline's 296" in capsys.readouterr().out


def test_a_table_made_on_the_others_data_is_the_one_that_is_read(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    client, folder = store
    baseline = log_training(client, folder, Trained(answers(0.9, 1)))
    elsewhere = Trained(answers(0.9, 2, 50, first=900), digest=OTHER_DATA, recipe="r2")
    other = log_training(client, folder, elsewhere)
    assert "tested on different data" in _refusal(capsys, baseline, other)
    from mlops.metrics.samples.sample_tables import Header, write_answers

    table = answers(0.7, 3)
    header = Header("d" * 64, "test", CLASSES, tuple(table.image.tolist()), "f" * 64)
    client.log_artifact(
        other, str(write_answers(folder / "predictions.parquet", table, header)), f"test-{'d' * 8}"
    )
    assert _json(capsys, baseline, other)["pictures"] == {"classes": 400}


def test_out_gets_markdown_a_picture_and_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [log_training(*store, Trained(answers(right, 1), recipe=str(right))) for right in (0.8, 0.9)]
    assert run(["compare", *runs, *FAST, "--out", "out/deep"]) == 0
    out = Path("out/deep")
    assert sorted(file.name for file in out.iterdir()) == [
        "comparison.json",
        "comparison.md",
        "comparison.png",
    ]
    held = json.loads((out / "comparison.json").read_text())
    told = (out / "comparison.md").read_text()
    assert f"**Recommended: {held['recommendation']['choice']}.**" in told
    assert all(each in told for each in runs)
    assert "(comparison.png)" in told
    with Image.open(out / "comparison.png") as picture:
        assert picture.width > 600
    assert "macro_f1 *" in capsys.readouterr().out


def test_logged_it_lies_on_both_runs_and_else_on_none(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    client, folder = store
    runs = [
        log_training(client, folder, Trained(answers(right, 1), recipe=str(right))) for right in (0.8, 0.9)
    ]
    _json(capsys, *runs)
    assert not any(client.list_artifacts(each, "comparisons") for each in runs)
    _json(capsys, *runs, "--log")
    for each in runs:
        (kept,) = client.list_artifacts(each, "comparisons")
        files = {item.path.rpartition("/")[2] for item in client.list_artifacts(each, kept.path)}
        assert files == {"comparison.json", "comparison.md", "comparison.png"}


def test_from_which_score_a_box_counts_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = {"test/chosen/threshold": 0.4}
    one = log_training(*store, Trained(made_boxes(1, 12)))
    other = log_training(*store, Trained(made_boxes(2, 12), recipe="r2", metrics=chosen))
    told = " ".join(_json(capsys, one, other)["notes"])
    assert "score threshold 0.25 for" in told and "0.4 for" in told
    assert "score threshold 0.5," in " ".join(_json(capsys, one, other, "--threshold", "0.5")["notes"])


def test_other_test_pictures_are_refused_with_both_digests(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    one = log_training(*store, Trained(answers(0.9, 1)))
    other = log_training(*store, Trained(answers(0.9, 1, 300), digest=OTHER_DATA, recipe="r2"))
    said = _refusal(capsys, one, other, "--out", "out")
    assert "d" * 64 in said
    assert "e" * 64 in said
    assert not Path("out").exists()


def test_other_annotations_are_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    one = log_training(*store, Trained(made_boxes(1, 40)))
    other = log_training(*store, Trained(made_boxes(1, 41), recipe="r2"))
    assert "the annotated boxes differ" in _refusal(capsys, one, other)


def test_other_classes_are_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    one = log_training(*store, Trained(made_boxes(1, 40)))
    other = log_training(*store, Trained(made_boxes(2, 40), classes=("nest", "crack", "kite"), recipe="r2"))
    assert "have different classes: number 0 is crack and nest" in _refusal(capsys, one, other)


def test_a_detector_and_a_classifier_are_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    one = log_training(*store, Trained(made_boxes(1, 40)))
    other = log_training(*store, Trained(answers(0.9, 1), recipe="r2"))
    assert "they have no task in common" in _refusal(capsys, one, other)


def test_a_run_without_a_table_is_told_how_to_get_one(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    one, none = (log_training(*store, Trained(table)) for table in (answers(0.9, 1), None))
    assert f"run `mlops evaluate {none}`" in _refusal(capsys, one, none)


def test_a_comparison_over_no_object_shows_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    whole = made_boxes(1, 3)
    empty = replace(whole, **{name: getattr(whole, name)[:0] for name in whole.__slots__})
    runs = [log_training(*store, Trained(empty, recipe=str(number))) for number in (1, 2)]
    assert run(["compare", *runs, *FAST]) == 3
    assert "not shown: no object is annotated" in capsys.readouterr().err


def test_a_comparison_over_no_predicted_box_shows_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = made_boxes(1, 3)
    silent = replace(whole, **{name: getattr(whole, name)[whole.truth] for name in whole.__slots__})
    runs = [log_training(*store, Trained(silent, recipe=str(number))) for number in (1, 2)]
    assert run(["compare", *runs, *FAST]) == 3
    assert "not shown: neither of" in capsys.readouterr().err


def test_a_table_that_was_spoilt_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    client, folder = store
    one, spoilt = (
        log_training(client, folder, Trained(answers(0.9, 1))),
        log_training(client, folder, Trained(None)),
    )
    (folder / "predictions.parquet").write_bytes(b"PAR1 and no more")
    client.log_artifact(spoilt, str(folder / "predictions.parquet"), "test")
    assert run(["compare", one, spoilt, *FAST]) == 1
    assert f"test/predictions.parquet of run {spoilt} is not a valid table" in capsys.readouterr().err


def test_a_deleted_run_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    one, gone = (log_training(*store, Trained(answers(0.9, seed))) for seed in (1, 2))
    store[0].delete_run(gone)
    assert f"mlflow runs restore --run-id {gone}" in _refusal(capsys, one, gone)


def test_one_training_twice_is_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    one = log_training(*store, Trained(answers(0.9, 1)))
    version = register(*store, one)
    assert "are the same training" in _refusal(capsys, one, version)
    assert "at least two" in _refusal(capsys, one)
    assert "at least two" in _refusal(capsys, one, "--baseline", version)


@pytest.mark.parametrize("named", ["lines/7", "lines@production", "f" * 32, "no such study", "it's"])
def test_what_is_not_there_is_told(store: Store, capsys: pytest.CaptureFixture[str], named: str) -> None:
    one = log_training(*store, Trained(answers(0.9, 1)))
    register(*store, one)
    assert "mlops: " in _refusal(capsys, one, named)


def test_a_figure_that_cannot_decide_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [log_training(*store, Trained(answers(0.9, seed), recipe=str(seed))) for seed in (1, 2)]
    assert "allowed: macro_f1, accuracy, F1/" in _refusal(capsys, *runs, "--primary", "mAP50")
    assert "--threshold is 'high'" in _refusal(capsys, *runs, "--threshold", "high")


def test_the_projects_entry_point_is_understood(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    entry = yaml.safe_load((REPOSITORY / "MLproject").read_text(encoding="utf-8"))["entry_points"]["compare"]
    defaults = {name: given["default"] for name, given in entry["parameters"].items()}
    runs = [log_training(*store, Trained(answers(0.9, seed), recipe=str(seed))) for seed in (1, 2)]
    given = {**defaults, "versions": ";".join(runs), "draws": "200"}
    command = entry["command"].format(**{name: shlex.quote(value) for name, value in given.items()})
    python, _, script, *arguments = shlex.split(command)
    assert (python, Path(script).stem) == ("python", "compare")
    assert run(["compare", *arguments]) == 0
    assert "macro_f1 *" in capsys.readouterr().out
