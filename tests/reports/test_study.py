"""The report of a search, on a store."""

from __future__ import annotations

import pytest

from mlops.errors import UserError
from mlops.reports.reading.report_data import read_subject
from tests.reports.past import Desk
from tests.reports.studies import Trial, record_study
from tests.reports.told import Told, column

SCORES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)


@pytest.fixture(scope="module")
def ids(desk: Desk) -> list[str]:
    """Six trials, the later ones better; the fourth is pruned after two epochs, the fifth fails in one."""
    trials = [Trial(0.001 * (i + 1), [s - 0.05 + 0.01 * i for s in SCORES]) for i in range(6)]
    trials[3] = Trial(0.02, SCORES[:2], pruned=True)
    trials[4] = Trial(0.5, SCORES[:1], failure="out of memory: cuda:0 has too little memory for batch=64")
    return record_study(desk.uri, desk.folder / "home", "searched", trials, "studies")


@pytest.fixture(scope="module")
def told(desk: Desk, ids: list[str]) -> Told:
    return desk.told("searched")


def test_best_trials_come_first_with_what_was_searched(told: Told) -> None:
    table = told.table("Search", "best")
    assert list(table)[:4] == ["trial 5", "trial 2", "trial 1", "trial 0"]
    assert table["trial 5"]["lr"] == "0.006"
    assert table["trial 3"]["state"] == "pruned"


def test_what_was_pruned_and_what_that_saved(told: Told) -> None:
    """Four of six epochs of one of six trials, at 30 s an epoch."""
    words = told.words("Search")
    assert "1 of 6 trials were pruned, which saved 4 of 36 epochs (11 %), about 2.0 min" in words


def test_the_training_told_of_in_full_is_the_best_trial(told: Told, ids: list[str]) -> None:
    assert told.facts("Overview")["run id"] == ids[6]
    assert "Study searched of 6 trainings" in told.words("Overview")


def test_sessions_completed_failed_and_pruned_with_reasons(told: Told) -> None:
    assert "6 trainings: 4 completed, 1 pruned, 1 failed." in told.words("Training sessions")
    stopped = told.table("Training sessions", "failed")
    assert column(stopped, "epochs") == ["1 of 6"]
    assert "out of memory" in stopped["trial 4"]["reason"]


def test_importances_are_given_for_complete_trials_only(told: Told) -> None:
    table = told.table("Search", "fANOVA, 4 complete trials")
    assert column(table, "importance") == ["100 %"]


def test_a_trial_deleted_in_between_is_left_out(desk: Desk) -> None:
    trials = [Trial(0.001 * (i + 1), [s - 0.05 + 0.01 * i for s in SCORES]) for i in range(3)]
    ids = record_study(desk.uri, desk.folder / "home", "thinned", trials, "studies thinned")
    desk.client.delete_run(ids[3])
    told = desk.told("thinned")
    assert list(told.table("Search", "best")) == ["trial 1", "trial 0"]
    assert told.facts("Overview")["run id"] == ids[2]


def test_a_study_of_failures_only_says_why_in_one_line(desk: Desk) -> None:
    trials = [
        Trial(0.1, [], failure="diverged: train/loss became NaN"),
        Trial(0.2, [], failure="crashed: so"),
    ]
    record_study(desk.uri, desk.folder / "home", "failed", trials, "studies failed")
    with pytest.raises(UserError, match=r"none of its 2 trials has metrics.*it failed: crashed: so"):
        read_subject(desk.client, "failed")


def test_two_studies_of_one_name_are_told_apart_by_id(desk: Desk) -> None:
    for experiment in ("twice a", "twice b"):
        record_study(
            desk.uri, desk.folder / experiment.replace(" ", ""), "twice", [Trial(0.1, SCORES)], experiment
        )
    with pytest.raises(UserError, match="2 studies have the name 'twice'; pass the id of one: "):
        read_subject(desk.client, "twice")
