"""A store with one classifier and one detector whose answers are known, and the data that they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.store.client import connect
from tests.evaluation.colours import Known, classifier, detector


@pytest.fixture
def cells(working_directory: Path) -> Known:
    return classifier(connect(), working_directory)


@pytest.fixture
def rails(working_directory: Path) -> Known:
    return detector(connect(), working_directory)
