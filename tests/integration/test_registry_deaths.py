"""Whoever dies at whatever step of a move: the next command leaves the old state or the new, no mixture."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest

from mlops.errors import ServerUnavailable
from mlops.store.client import connect
from registry.ledger.entry import Action, Stage
from registry.stages.lifecycle import Draft, record
from registry.stages.model_state import begin
from registry.stages.verify import verify
from tests.registry.processes import mover, shown
from tests.registry.shelves import make_bare_model, open_policy
from tests.registry.ways import DeadlyWay, deadly_way
from tests.tracking.servers import MlflowServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    made = MlflowServer(tmp_path_factory.mktemp("server"))
    made.up()
    yield made
    made.down()


@pytest.mark.parametrize("victim", ["mover", "way"])
@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_after_a_death_at_any_step_the_next_command_leaves_the_old_or_the_new_state(
    server: MlflowServer, victim: str, answered: bool
) -> None:
    """Before or after each of the writes of a move, the process is killed or its server is gone."""
    old, new = {"1": "Production", "2": "Staging"}, {"1": "Archived", "2": "Production"}
    seen, step = set(), 0
    while True:
        step += 1
        name = f"death-{uuid4().hex[:8]}"
        make_bare_model(connect(server.url), name, 2)
        for version, stage in (("1", Stage.PRODUCTION), ("2", Stage.STAGING)):
            bare_move(server.url, name, version, stage)
        with deadly_way(DeadlyWay(server.url, at=step, answered=answered)) as way:
            done = die(way, name) if victim == "mover" else stay_behind(way, name)
        assert done is not way.died
        if done:
            break
        begin(connect(server.url), name, open_policy(name))
        state = shown(server.url, name)
        assert state in (old, new), f"step {step}"
        assert verify(connect(server.url), name).well
        seen.add(state == new)
    assert step > 6
    assert seen == {True, False} or (victim, answered) == ("way", True)


def bare_move(url: str, model: str, version: str, stage: Stage) -> None:
    record(begin(connect(url), model, open_policy(model)), Draft(Action.PROMOTE, version, stage))


def die(way: DeadlyWay, model: str) -> bool:
    """A process that moves version 2 and is killed at the way's step; whether it came to its end."""
    process = mover(way.url, model, "2", Stage.PRODUCTION)
    way.kill = lambda: os.kill(process.pid, signal.SIGKILL)
    return process.wait(60) == 0


def stay_behind(way: DeadlyWay, model: str) -> bool:
    """Move version 2 while the server goes away at the way's step; whether it came to its end."""
    try:
        bare_move(way.url, model, "2", Stage.PRODUCTION)
    except ServerUnavailable:
        return False
    return True
