"""A server with log-in: who is recorded, who may move a version, and whose approval counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from mlops.cli.main import run
from mlops.store.client import connect
from registry.ledger.log import ledger_name, read
from registry.stages.mlflow_state import look
from tests.registry.team_server import Team, team_server

pytestmark = pytest.mark.slow

POLICY = """
model: cells
gates:
  Staging: []
  Production:
    - {kind: approvals, at_least: 1}
"""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """ann trains, rita releases, bea only reads."""
    pytest.importorskip("flask_wtf")
    with team_server(tmp_path_factory.mktemp("team")) as server, pytest.MonkeyPatch.context() as patch:
        server.log_in(patch, "admin")
        server.add("ann", "rita", "bea")
        yield server


@pytest.fixture
def model(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that ann trained and rita may edit; ann is logged in."""
    from mlops.tracking import Tracker
    from tests.tracking.stores import save_tiny_model

    name = f"cells-{uuid4().hex[:8]}"
    team.log_in(monkeypatch, "ann")
    with Tracker(tmp_path / "home", team.url, deliver=False) as tracker:
        run = tracker.start_run("r", experiment=name, name="n")
        run.log_model(save_tiny_model(tmp_path / "model"), "model", register_as=name)
        report = tracker.sync(120)
        assert (report.left, report.error) == (0, None)
    experiment = connect().get_experiment_by_name(name)
    team.log_in(monkeypatch, "admin")
    team.grant("rita", "registered_model", name, "MANAGE")
    team.grant("rita", "registered_model", ledger_name(name))  # which ann's training has opened
    team.grant("rita", "experiment", experiment.experiment_id)
    team.log_in(monkeypatch, "ann")
    (tmp_path / "policy.yaml").write_text(POLICY.replace("cells", name))
    monkeypatch.chdir(tmp_path)
    return name


def registry(*arguments: str) -> int:
    return run(["registry", *arguments, "--policy", "policy.yaml"])


def test_the_one_who_is_logged_in_is_recorded(
    team: Team, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_USER", "somebody else")
    team.log_in(monkeypatch, "rita")
    assert registry("promote", model, "1", "--to", "staging") == 0
    assert [(entry.who, entry.action) for entry in read(model)] == [("ann", "register"), ("rita", "promote")]
    assert connect().get_run(connect().get_model_version(model, "1").run_id).data.tags["mlflow.user"] == "ann"


def test_who_may_only_read_gets_one_line_and_changes_nothing(
    team: Team, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    team.log_in(monkeypatch, "bea")
    capsys.readouterr()
    for arguments in (("promote", model, "1", "--to", "staging"), ("approve", model, "1")):
        assert registry(*arguments) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert "bea lacks the permission" in line
    assert connect().get_model_version(model, "1").current_stage == "None"
    assert [entry.action for entry in read(model)] == ["register"]


def test_the_trainers_own_approval_does_not_count(
    team: Team, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    team.log_in(monkeypatch, "rita")
    assert registry("promote", model, "1", "--to", "staging") == 0
    team.log_in(monkeypatch, "ann")
    assert registry("approve", model, "1", "--comment", "mine, and good") == 0
    capsys.readouterr()
    team.log_in(monkeypatch, "rita")
    assert registry("promote", model, "1", "--to", "production") == 3
    assert "approval by ann, who trained it, does not count" in capsys.readouterr().out
    assert registry("approve", model, "1", "--comment", "looked at it") == 0
    assert registry("promote", model, "1", "--to", "production") == 0


def test_a_right_to_the_model_alone_is_not_one_to_its_ledger(
    team: Team, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    team.log_in(monkeypatch, "rita")
    assert registry("promote", model, "1", "--to", "staging") == 0
    team.log_in(monkeypatch, "admin")
    team.grant("bea", "registered_model", model, "MANAGE")
    team.log_in(monkeypatch, "bea")
    capsys.readouterr()
    assert registry("archive", model, "1") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"writing to the ledger of {model}" in line and "bea lacks the permission" in line
    assert connect().get_model_version(model, "1").current_stage == "Staging"
    assert look(connect(), model).hands == {}


def test_a_wrong_password_is_one_line(
    team: Team, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    team.log_in(monkeypatch, "rita", "guessed")
    capsys.readouterr()
    assert registry("promote", model, "1", "--to", "staging") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "MLFLOW_TRACKING_PASSWORD" in line
