"""What a person relies on when a study is called again, by one process or several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pytest

from mlops.data.dataset import Identity
from mlops.errors import BadSetting, StudyMismatch, UserError
from mlops.search.request import StudyRequest
from mlops.search.study import Study, identity_of
from mlops.search.suggest import recipe_point, suggest, with_values
from mlops.systems import configure, load_system

DATA = Identity(name="demo", path="/data", digest="a" * 64)


def request_in(
    home: Path, *settings: str, study: str = "", trials: int = 3, store: str = "sqlite:////here.db"
) -> StudyRequest:
    spec = configure(load_system("blood-cell-classifier"), settings, demo=True)
    return StudyRequest(spec=spec, data=("demo",), home=home, tracking_uri=store, study=study, trials=trials)


def study_in(home: Path, *settings: str, data: Identity = DATA, study: str = "", trials: int = 3) -> Study:
    request = request_in(home, *settings, study=study, trials=trials)
    return Study(request, identity_of(request, data))


def finish(study: Study, budget: int, value: float = 0.5, forgiven: int = 0) -> int:
    """Claim one trial and complete it. Returns its number."""
    claim = study.claim(budget, forgiven)
    assert claim is not None
    suggest(claim.trial, study.request.spec.space)
    study.optuna_study.tell(claim.trial, value)
    claim.lock.release()
    return claim.trial.number


def test_other_weights_in_a_file_of_the_same_name_are_another_study(tmp_path: Path) -> None:
    weights = tmp_path / "first.safetensors"
    names = set()
    for content in (b"one", b"two", b"one"):
        weights.write_bytes(content)
        names.add(study_in(tmp_path, f"weights={weights}").name)
    assert len(names) == 2


def test_weights_that_a_search_may_choose_count_too(tmp_path: Path) -> None:
    weights = tmp_path / "first.safetensors"
    names = set()
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        names.add(study_in(tmp_path, f"space.weights=none,{weights}").name)
    assert len(names) == 2


def test_trial_0_is_the_recipe(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.ensure_recipe_trial()
    claim = study.claim(3, 0)
    assert claim is not None
    spec = study.request.spec
    assert suggest(claim.trial, spec.space) == recipe_point(spec.recipe, spec.space)
    assert with_values(spec.recipe, suggest(claim.trial, spec.space)) == spec.recipe


def test_the_recipe_is_queued_once_however_often_the_study_is_called(tmp_path: Path) -> None:
    for _ in range(3):
        study_in(tmp_path).ensure_recipe_trial()
    assert len(study_in(tmp_path).optuna_study.trials) == 1


def test_finished_trials_stay_and_the_budget_counts_them(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.ensure_recipe_trial()
    assert [finish(study, 2), finish(study, 2)] == [0, 1]
    again = study_in(tmp_path)
    again.ensure_recipe_trial()
    assert again.claim(2, 0) is None
    assert finish(again, 3) == 2


def test_a_trial_that_failed_in_an_earlier_call_is_tried_again(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.ensure_recipe_trial()
    claim = study.claim(1, 0)
    assert claim is not None
    study.optuna_study.tell(claim.trial, state=optuna.trial.TrialState.FAIL)
    claim.lock.release()
    assert study.claim(1, 0) is None, "the call that failed does not try for ever"
    again = study_in(tmp_path)
    again.ensure_recipe_trial()
    assert finish(again, 1, forgiven=again.failures()) == 1
    assert again.optuna_study.trials[1].params == recipe_point(
        again.request.spec.recipe, again.request.spec.space
    )


def test_a_trial_that_somebody_alive_works_on_is_left_to_them(tmp_path: Path) -> None:
    first, second = study_in(tmp_path), study_in(tmp_path)
    first.ensure_recipe_trial()
    one, two = first.claim(3, 0), second.claim(3, 0)
    assert one is not None and two is not None
    assert (one.trial.number, two.trial.number) == (0, 1)
    assert not two.resumed


def test_a_trial_whose_worker_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from tests.search.test_study import study_in
        from mlops.search.suggest import suggest
        study = study_in(Path(sys.argv[1]))
        study.ensure_recipe_trial()
        claim = study.claim(3, 0)
        suggest(claim.trial, study.request.spec.space)
        claim.trial.report(0.25, 1)
        print("claimed", flush=True)
        time.sleep(60)
        """
    )
    repository = str(Path(__file__).resolve().parents[2])
    worker = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), repository], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "claimed"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    claim = study_in(tmp_path).claim(3, 0)
    assert claim is not None
    assert claim.resumed and claim.trial.number == 0
    frozen = study_in(tmp_path).optuna_study.trials[0]
    assert frozen.intermediate_values == {1: 0.25}


def test_a_last_line_that_a_kill_left_unfinished_does_not_spoil_the_study(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.ensure_recipe_trial()
    finish(study, 3)
    with (study.folder / "journal.log").open("a") as journal:
        journal.write('{"op_code": 4, "worker_id": "x')
    again = study_in(tmp_path)
    with again.held():
        assert finish(again, 3) == 1
    assert [trial.state.name for trial in study_in(tmp_path).optuna_study.trials] == ["COMPLETE", "COMPLETE"]


def test_two_commands_do_not_run_one_study_at_a_time(tmp_path: Path) -> None:
    with (
        study_in(tmp_path).held(),
        pytest.raises(UserError, match="another process"),
        study_in(tmp_path).held(),
    ):
        pass


def test_other_data_makes_another_study(tmp_path: Path) -> None:
    other = Identity(name="demo", path="/data", digest="b" * 64)
    assert study_in(tmp_path).name != study_in(tmp_path, data=other).name


def test_other_settings_make_another_study_but_workers_do_not(tmp_path: Path) -> None:
    assert study_in(tmp_path).name != study_in(tmp_path, "epochs=3").name
    assert study_in(tmp_path).name == study_in(tmp_path, "workers=0").name


def test_a_study_name_of_other_data_is_refused_with_both_digests(tmp_path: Path) -> None:
    study_in(tmp_path, study="mine").ensure_recipe_trial()
    other = Identity(name="demo", path="/data", digest="b" * 64)
    with pytest.raises(StudyMismatch, match=r"bbbbbbbbbbbb, the study has aaaaaaaaaaaa.*--study"):
        study_in(tmp_path, data=other, study="mine").ensure_recipe_trial()


def drawn(home: Path, *calls: int) -> list[dict[str, object]]:
    """What each trial after the recipe's is given, by calls that run so many trials each."""
    values = []
    for trials in calls:
        study = study_in(home)
        study.ensure_recipe_trial()
        for _ in range(trials):
            finish(study, 100)
        values = [trial.params for trial in study.optuna_study.trials[1:]]
    return values


def test_a_search_that_is_called_again_draws_nothing_twice(tmp_path: Path) -> None:
    values = drawn(tmp_path, 2, 1, 1, 1)
    assert len({str(each) for each in values}) == len(values) == 4


def test_the_same_seed_draws_the_same_however_often_the_search_was_broken_off(tmp_path: Path) -> None:
    assert drawn(tmp_path / "once", 4) == drawn(tmp_path / "often", 1, 2, 1)


def test_a_plain_training_and_a_search_of_shorter_trials_are_two_studies(tmp_path: Path) -> None:
    assert study_in(tmp_path, "epochs=40", trials=1).name != study_in(tmp_path, "epochs=40", trials=3).name
    assert study_in(tmp_path, "epochs=40", trials=2).name == study_in(tmp_path, "epochs=40", trials=3).name
    assert study_in(tmp_path, "epochs=5", trials=1).name == study_in(tmp_path, "epochs=5", trials=3).name


def test_a_study_recorded_in_another_store_is_refused_with_both(tmp_path: Path) -> None:
    study_in(tmp_path).open()
    request = request_in(tmp_path, store="http://ann:secret@there:5000")
    with pytest.raises(StudyMismatch, match=r"here\.db, not in http://there:5000.*--study"):
        Study(request, identity_of(request, DATA)).open()


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/mlops", ".", "a/b", "x" * 101])
def test_a_study_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSetting, match="--study"):
        study_in(tmp_path, study=name)
