"""A store for each test, without making its tables each time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops.store.client import connect


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store with all its tables and nothing in them."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{file}").search_registered_models()
    return file


@pytest.fixture
def working_directory(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store in a working directory of the test's own, used by one named rita."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.setenv("MLOPS_USER", "rita")
    monkeypatch.chdir(tmp_path)
    return tmp_path
