"""A store with one classifier and one detector whose answers are known, and the data that they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.store.client import connect
from tests.evaluation.colours import Known, classifier, detector
from tests.registry.conftest import empty_database, working_directory  # noqa: F401 - fixtures used here


@pytest.fixture
def cells(working_directory: Path) -> Known:  # noqa: F811
    return classifier(connect(), working_directory)


@pytest.fixture
def rails(working_directory: Path) -> Known:  # noqa: F811
    return detector(connect(), working_directory)
