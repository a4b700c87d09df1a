"""`mlops registry measure`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops.cli.registry.moves import measure
from mlops.store.client import connect
from tests.registry.versions import Trained, make_version


def test_a_version_is_timed_and_the_figures_are_kept_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    version = make_version(connect(uri), tmp_path, "cells", Trained())
    told = CliRunner().invoke(
        measure, ["cells", version, "--calls", "20", "--threads", "1", "--json"], catch_exceptions=False
    )
    assert told.exit_code == 0
    said = json.loads(told.stdout)
    assert said["calls"] == 20
    kept = json.loads(connect(uri).get_model_version("cells", version).tags["mlops.latency"])
    assert kept == said


def test_its_help_shows_an_example() -> None:
    assert "Example: mlops registry measure" in CliRunner().invoke(measure, ["--help"]).output
