"""From what a person names to a run: a version, an alias, a run's id, or a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.errors import NotComparable, UnknownVersion
from mlops.tracking.store.client import asking
from mlops.tracking.subject import Subject, find_subject

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def find_side(client: MlflowClient, given: str) -> tuple[Subject, Run]:
    """The training that `given` names, and its run; a study stands for the model that it ended with.

    Raises UnknownVersion for what is not there, NotComparable for a deleted run or an unfinished study.
    """
    subject = _subject(client, given)
    run = _run(client, subject.run_id, given)
    if run.data.tags.get("mlops.kind") == "study":
        run = _best_of(client, run, given)
        subject = find_subject(client, str(run.info.run_id))
    return subject, run


def _subject(client: MlflowClient, given: str) -> Subject:
    try:
        return find_subject(client, given)
    except UnknownVersion as error:
        study = _study_named(client, given)
        if study is None:
            raise UnknownVersion(f"{error}; nor is there a study {given!r}") from error
        return Subject(str(study.info.run_id))


def _run(client: MlflowClient, run_id: str, given: str) -> Run:
    with asking(f"reading the run of {given}"):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise NotComparable(
            f"{given}: its run {run_id} was deleted; `mlflow runs restore --run-id {run_id}` brings it back"
        )
    return run


def _study_named(client: MlflowClient, name: str) -> Run | None:
    if "'" in name:
        return None
    with asking(f"looking for study {name}"):
        experiments = [str(each.experiment_id) for each in client.search_experiments()]
        wanted = f"tags.`mlops.kind` = 'study' AND tags.`mlops.study` = '{name}'"
        found: list[Run] = client.search_runs(experiments, wanted) if experiments else []
    if len(found) > 1:
        ids = ", ".join(str(run.info.run_id) for run in found)
        raise NotComparable(f"{len(found)} studies are called {name}; name one by its run: {ids}")
    return found[0] if found else None


def _best_of(client: MlflowClient, study: Run, given: str) -> Run:
    """The run of the study's final fit, else of its best trial."""
    for trial in ("final", study.data.tags.get("mlops.best_trial", "")):
        wanted = f"tags.`mlflow.parentRunId` = '{study.info.run_id}' AND tags.`mlops.trial` = '{trial}'"
        with asking(f"reading the trials of {given}"):
            found: list[Run] = client.search_runs([str(study.info.experiment_id)], wanted, max_results=1)
        if found:
            return found[0]
    raise NotComparable(f"study {given} has no finished model yet; `mlops train` with the same study goes on")
