"""Search: a study of trainings, from the request to the registered version."""

from __future__ import annotations

from mlops.search.outcome import StudyOutcome, as_text
from mlops.search.request import StudyRequest
from mlops.search.run_study import run_study

__all__ = ["StudyOutcome", "StudyRequest", "as_text", "run_study"]
