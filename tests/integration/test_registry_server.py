"""A real MLflow server over HTTP: one winner, no mixture after a death, and no change that goes unnoticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mlops.errors import LedgerBroken, MoveLost, UserError
from mlops.store.client import connect
from registry.ledger.entry import Action, LedgerEntry, Stage
from registry.ledger.log import ENTRY_TAG, append, ledger_name, read, read_chain
from registry.ledger.state import last_good, state_after, state_at
from registry.stages.in_progress import now
from registry.stages.lifecycle import Draft, archive, give_verdict, record
from registry.stages.mlflow_state import HAND_TAG, look
from registry.stages.model_state import begin
from registry.stages.verify import verify
from tests.registry.processes import mover, shown
from tests.registry.shelves import make_model, open_policy
from tests.tracking.servers import MlflowServer

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    made = MlflowServer(tmp_path_factory.mktemp("server"))
    made.up()
    yield made
    made.down()


@pytest.fixture
def model(server: MlflowServer, tmp_path: Path) -> str:
    """A registered model with three versions."""
    name = f"cells-{uuid4().hex[:8]}"
    make_model(connect(server.url), name, 3, tmp_path / "files")
    return name


def move(url: str, model: str, version: str, stage: Stage, action: Action = Action.PROMOTE) -> None:
    scene = begin(connect(url), model, open_policy(model))
    record(scene, Draft(action, version, stage, file_digests=digests_of(url, model, version)))


def digests_of(url: str, model: str, version: str) -> dict[str, str]:
    from registry.evidence.version_files import digests, version_files

    with version_files(connect(url), model, version) as folder:
        return digests(folder)


def test_stage_alias_and_tag_move_as_one_and_the_old_champion_is_archived(
    server: MlflowServer, model: str
) -> None:
    for version in ("1", "2"):
        move(server.url, model, version, Stage.STAGING)
        move(server.url, model, version, Stage.PRODUCTION)
    assert shown(server.url, model) == {"1": "Archived", "2": "Production", "3": "None"}
    assert verify(connect(server.url), model).well


def test_two_processes_that_promote_at_once_give_one_winner_and_one_clear_error(
    server: MlflowServer, model: str, tmp_path: Path
) -> None:
    line = tmp_path / "go"
    movers = {v: mover(server.url, model, v, Stage.STAGING, line) for v in ("1", "2")}
    wait_until(lambda: all(Path(f"{line}.{v}.ready").exists() for v in movers))
    line.touch()
    said = {v: process.communicate(timeout=60)[0] for v, process in movers.items()}
    won = [v for v, process in movers.items() if process.returncode == 0]
    assert len(won) == 1
    (lost,) = set(movers) - set(won)
    assert f"promote of version {lost} lost to a concurrent change; nothing was written" in said[lost]
    assert f"promoted version {won[0]} from None to Staging" in said[lost]
    assert shown(server.url, model)[won[0]] == "Staging"
    assert verify(connect(server.url), model).well


def test_a_hundred_times_two_at_once_give_a_hundred_winners(server: MlflowServer, model: str) -> None:
    client = connect(server.url)
    for turn in range(100):
        assert sorted(two_at_once(client, model, turn)) == [False, True]
    chain = read_chain(client, model)
    assert len(chain.entries) == 100
    assert not chain.faults


def two_at_once(client: MlflowClient, model: str, turn: int) -> list[bool]:
    """Two who read the same state and write at the same moment; who of them won."""
    chain = read_chain(client, model)
    line = threading.Barrier(2)

    def wins(version: str) -> bool:
        entry = LedgerEntry(
            sequence=chain.next_sequence,
            time=now(),
            who=f"{turn}",
            action=Action.PROMOTE,
            model=model,
            version=version,
            from_stage=Stage.ARCHIVED,
            to_stage=Stage.STAGING,
            why="",
            previous=chain.head,
            uid=uuid4().hex,
        )
        line.wait()
        try:
            append(client, entry)
        except MoveLost:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(wins, ("1", "2")))


@pytest.mark.parametrize(
    ("tampering", "named"),
    [
        ("stage", "version 3 is in stage Production; the ledger says None"),
        ("alias", "alias @production is version 3; the ledger says version 2"),
        ("no alias", "alias @production is nothing; the ledger says version 2"),
        ("tag", "tag mlops.stage of version 2 is Staging; the ledger says Production"),
        ("version", "version 1, Archived in the ledger, was deleted"),
        ("entry", "entry 3 of the ledger was changed or removed"),
        ("old entry", "does not follow the entry before it"),
        ("last entry", "entry 3 of the ledger was changed or removed"),
        ("deleted entry", "ledger slot 2 was deleted"),
        ("forged entry", "has no readable entry"),
        ("file", "version 2: data/model.onnx was changed"),
        ("no files", "version 2: data/model.onnx is missing"),
    ],
)
def test_what_was_changed_behind_the_ledger_s_back_is_named(
    server: MlflowServer, model: str, tampering: str, named: str
) -> None:
    client = connect(server.url)
    move(server.url, model, "1", Stage.PRODUCTION)
    move(server.url, model, "2", Stage.STAGING)
    move(server.url, model, "2", Stage.PRODUCTION)
    assert verify(client, model).well
    log = ledger_name(model)
    match tampering:
        case "stage":
            client.transition_model_version_stage(model, "3", "Production")
        case "alias":
            client.set_registered_model_alias(model, "production", "3")
        case "no alias":
            client.delete_registered_model_alias(model, "production")
        case "tag":
            client.set_model_version_tag(model, "2", "mlops.stage", "Staging")
        case "version":
            client.delete_model_version(model, "1")
        case "entry" | "old entry":
            number = {"entry": "3", "old entry": "2"}[tampering]
            text = client.get_model_version(log, number).tags[ENTRY_TAG]
            client.set_model_version_tag(log, number, ENTRY_TAG, text.replace('"why":""', '"why":"good"'))
        case "last entry":
            client.delete_model_version(log, "3")
        case "deleted entry":
            client.delete_model_version(log, "2")
        case "forged entry":
            client.create_model_version(log, "mlops-ledger:/x/9", tags={ENTRY_TAG: "{}"})
        case "file":
            next(model_files(server, model, "2").rglob("model.onnx")).write_bytes(b"other")
        case "no files":
            for file in [p for p in model_files(server, model, "2").rglob("*") if p.is_file()]:
                file.unlink()
    found = verify(client, model)
    assert not found.well
    assert any(named in fault.says for fault in found.faults), found.faults


def model_files(server: MlflowServer, model: str, version: str) -> Path:
    uri = connect(server.url).get_model_version_download_uri(model, version)
    return Path(server.plan.artifacts) / uri.removeprefix("mlflow-artifacts:/")


def test_nothing_moves_on_top_of_an_altered_ledger(server: MlflowServer, model: str) -> None:
    move(server.url, model, "1", Stage.STAGING)
    client = connect(server.url)
    client.delete_model_version(ledger_name(model), "1")
    with pytest.raises(LedgerBroken, match="entry 1 of the ledger was changed or removed"):
        move(server.url, model, "2", Stage.STAGING)


def test_a_difference_that_no_move_left_is_not_mended_in_silence(server: MlflowServer, model: str) -> None:
    move(server.url, model, "1", Stage.STAGING)
    client = connect(server.url)
    client.transition_model_version_stage(model, "1", "Production")
    begin(client, model, open_policy(model))
    assert not verify(client, model).well


def test_a_hand_left_by_the_dead_is_taken_away_in_time(server: MlflowServer, model: str) -> None:
    client = connect(server.url)
    client.set_registered_model_tag(model, HAND_TAG + "x", "2026-01-01T00:00:00+00:00 someone")
    begin(client, model, open_policy(model))
    assert look(client, model).hands == {}


def test_a_person_s_approvals_and_rejections_are_in_the_ledger(
    server: MlflowServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, policy = connect(server.url), open_policy(model)
    monkeypatch.setenv("MLOPS_USER", "ann")
    give_verdict(begin(client, model, policy), "1", Action.APPROVE, Stage.PRODUCTION, "looked at 40 pictures")
    with pytest.raises(UserError, match="already recorded"):
        give_verdict(begin(client, model, policy), "1", Action.APPROVE, Stage.PRODUCTION, "")
    give_verdict(begin(client, model, policy), "1", Action.REJECT, Stage.PRODUCTION, "saw the other 40")
    assert [(e.who, e.action, e.why) for e in read(model, client)] == [
        ("ann", "approve", "looked at 40 pictures"),
        ("ann", "reject", "saw the other 40"),
    ]


def test_the_ledger_says_what_was_in_production_when(server: MlflowServer, model: str) -> None:
    move(server.url, model, "1", Stage.PRODUCTION)
    time.sleep(0.05)
    move(server.url, model, "2", Stage.PRODUCTION)
    client = connect(server.url)
    archive(begin(client, model, open_policy(model)), "2", why="recalled")
    first, second, third = read(model, client)
    moment = timedelta(milliseconds=10)
    for entry, version in ((first, "1"), (second, "2"), (third, None)):
        at = datetime.fromisoformat(entry.time) + moment
        assert state_at(read(model, client), at).holder(Stage.PRODUCTION) == version
    assert state_after(read(model, client)).holder(Stage.PRODUCTION) is None
    assert last_good(read(model, client)) == "1"


def wait_until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
