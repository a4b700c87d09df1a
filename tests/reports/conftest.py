"""One store for all tests of the reports; each has an experiment of its own in it."""

from __future__ import annotations

import pytest

from mlops.store.location import ensure_store
from tests.reports.past import Desk


@pytest.fixture(scope="session")
def report_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    ensure_store(uri)
    return uri


@pytest.fixture(scope="module")
def desk(report_store: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(report_store, tmp_path_factory.mktemp("runs"))
