"""`mlops report` as a user meets it, in this process, which has MLflow loaded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops.cli.main import run
from mlops.tracking import Tracker
from tests.reports.past import Desk, line
from tests.reports.studies import Trial, figures, record_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mlops(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command in an empty working directory on the tests' store: exit code, stdout, stderr."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", desk.uri)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture(scope="module")
def trained(desk: Desk) -> str:
    """A run of twenty epochs with a test figure, and a file beside it."""
    columns = {
        "train/box_loss": line((1, 0.9), (20, 0.3)),
        "val/box_loss": line((1, 1.0), (20, 0.4)),
        "metrics/mAP50(B)": line((1, 0.3), (20, 0.8)),
        "metrics/mAP50-95(B)": line((1, 0.2), (20, 0.6)),
        "test/mAP50": {20: 0.79},
        "lr/pg0": line((1, 0.01), (20, 0.0001)),
    }
    return desk.ultralytics(
        "railway <b>&", columns, {"model": "yolo11n", "epochs": 20}, experiment="commands"
    )


def test_report_is_written_and_logged_to_the_run(mlops: Command, desk: Desk, trained: str) -> None:
    code, out, err = mlops("report", trained, "--out", "mine")
    assert (code, err) == (0, "")
    assert "Omitted sections (no data):" in out
    assert {path.name for path in Path("mine").iterdir()} == {
        "report.md",
        "report.html",
        "report.json",
        "figures",
    }
    logged = {item.path for item in desk.client.list_artifacts(trained, "report")}
    assert {"report/report.md", "report/report.html", "report/report.json", "report/figures"} <= logged


def test_page_needs_nothing_beside_it(mlops: Command, trained: str) -> None:
    assert mlops("report", trained, "--out", "mine", "--no-log")[0] == 0
    page = Path("mine/report.html").read_text()
    pictures = re.findall(r'<img src="([^"]{30})', page)
    assert len(pictures) >= 3
    assert all(each.startswith("data:image/png;base64,") for each in pictures)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert "<details>" in page


def test_names_are_shown_and_never_taken_for_markup(mlops: Command, trained: str) -> None:
    assert mlops("report", trained, "--out", "mine", "--no-log")[0] == 0
    assert "railway <b>&" not in Path("mine/report.html").read_text()
    assert "railway &lt;b&gt;&amp;" in Path("mine/report.html").read_text()
    assert "railway &lt;b>&" in Path("mine/report.md").read_text()


def test_figures_of_the_markdown_are_there(mlops: Command, trained: str) -> None:
    assert mlops("report", trained, "--out", "mine", "--no-log")[0] == 0
    named = re.findall(r"\]\((figures/[^)]+)\)", Path("mine/report.md").read_text())
    assert named
    assert {path.name for path in Path("mine/figures").iterdir()} == {Path(name).name for name in named}


def test_a_report_is_the_same_each_time_and_not_of_itself(mlops: Command, trained: str) -> None:
    """The second one finds the first among the run's files and does not list it."""
    for folder in ("first", "second"):
        assert mlops("report", trained, "--out", folder)[0] == 0
    for name in ("report.md", "report.json", "report.html"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()


def test_json_names_the_files_and_what_was_left_out(mlops: Command, trained: str) -> None:
    code, out, _ = mlops("report", trained, "--no-log", "--json")
    told = json.loads(out)
    assert code == 0
    assert Path(told["report"]["page"]).is_file()
    assert told["run_id"] == trained
    assert told["logged_to"] == ""
    assert "Data set" in told["report"]["left_out"]


def test_a_second_report_takes_the_place_of_the_first(mlops: Command, trained: str) -> None:
    mlops("report", trained, "--out", "mine", "--no-log")
    Path("mine/figures/old.png").write_bytes(b"of an earlier report")
    assert mlops("report", trained, "--out", "mine", "--no-log")[0] == 0
    assert not Path("mine/figures/old.png").exists()


def test_a_folder_with_other_things_is_left_alone(mlops: Command, trained: str) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("mine")
    code, _, err = mlops("report", trained, "--out", "thesis", "--no-log")
    assert code == 2
    assert "thesis has other files (chapter.tex)" in err
    assert [path.name for path in Path("thesis").iterdir()] == ["chapter.tex"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("0" * 32, "not found"),
        ("no-such-thing", "no run, study or registered model 'no-such-thing'"),
        ("no-such-model@production", "no run, study or registered model"),
        ('it\'s "quoted"', "cannot be searched"),
    ],
)
def test_an_unknown_name_is_one_line(mlops: Command, tmp_path: Path, name: str, says: str) -> None:
    code, out, err = mlops("report", name)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_policy_of_another_model_is_refused(mlops: Command, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("model: oct-detector\ngates: {}\n")
    run_id = desk.ultralytics("r", {"val/box_loss": line((1, 1.0), (3, 0.4))}, {"epochs": 3}, experiment="p")
    desk.client.set_tag(run_id, "mlops.system", "railway-detector")
    code, _, err = mlops("report", run_id, "--policy", "other.yaml")
    assert (code, "model is 'oct-detector'; allowed: railway-detector" in err) == (2, True)


def test_a_deleted_run_is_one_line_with_the_way_back(mlops: Command, desk: Desk) -> None:
    run_id = desk.ultralytics("gone", {"train/loss": {1: 1.0}}, {"epochs": 1}, experiment="commands gone")
    desk.client.delete_run(run_id)
    code, _, err = mlops("report", run_id)
    assert code == 2
    assert f"run {run_id} was deleted; restore it with `mlflow runs restore --run-id {run_id}`" in err


def test_a_run_without_epochs_is_one_line_with_its_failure(
    mlops: Command, desk: Desk, tmp_path: Path
) -> None:
    ids = record_study(
        desk.uri,
        desk.folder / "home",
        "empty",
        [Trial(0.1, [], failure="crashed: no room")],
        "commands empty",
    )
    code, _, err = mlops("report", ids[1])
    assert code == 2
    assert "has no metrics of any epoch, so there is nothing to report; it failed: crashed: no room" in err
    assert list(tmp_path.iterdir()) == []


def test_a_half_finished_run_is_told_as_far_as_it_came(mlops: Command, desk: Desk) -> None:
    with Tracker(desk.folder / "home", desk.uri, deliver=False) as tracker:
        run = tracker.start_run("going", experiment="commands going", name="going")
        run.log_params({"epochs": 50})
        for epoch in (1, 2, 3):
            run.log_epoch(epoch, figures(0.5 + epoch / 100, epoch))
        tracker.sync(60)
        run_id = str(run.mlflow_id())
    assert mlops("report", run_id, "--out", "mine", "--no-log")[0] == 0
    told = Path("mine/report.md").read_text()
    assert "is still running; its last recorded epoch is 3" in told
    assert "| epochs | 3 of 50 planned |" in told


def test_nan_is_shown_found_and_never_averaged(mlops: Command, desk: Desk) -> None:
    columns = {
        "train/box_loss": {1: 0.9, 2: math.nan, 3: 0.7, 4: math.nan},
        "metrics/mAP50(B)": {1: 0.5, 2: math.nan, 3: 0.7, 4: math.nan},
    }
    run_id = desk.ultralytics("nan", columns, {"epochs": 10}, experiment="commands nan")
    assert mlops("report", run_id, "--out", "mine", "--no-log")[0] == 0
    told = Path("mine/report.md").read_text()
    assert "| NaN | train box loss | 2-4 | 2 epochs without a finite value |" in told
    assert "| 2 | NaN | NaN |" not in told
    assert "| 2 | NaN |" in told
    assert "a mean of 0.6" in told


def test_a_run_of_one_epoch_leaves_out_what_needs_more(mlops: Command, desk: Desk) -> None:
    columns = {"train/box_loss": {1: 0.9}, "metrics/mAP50(B)": {1: 0.5}}
    run_id = desk.ultralytics("one", columns, {"epochs": 1}, experiment="commands one")
    assert mlops("report", run_id, "--out", "mine", "--no-log")[0] == 0
    assert "- **Stability**: Fewer than two epochs" in Path("mine/report.md").read_text()
