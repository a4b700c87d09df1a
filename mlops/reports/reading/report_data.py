"""Read the data of a report from the store."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from mlops.errors import UserError
from mlops.reports.metric_labels import FITNESS, HEADLINES
from mlops.reports.reading.named_subject import find
from mlops.reports.reading.run_facts import listed, read_run, search
from mlops.reports.tracked_facts import ReportData, RunFacts, StudyFacts
from mlops.store.client import asking
from mlops.store.histories import curves_of_many

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_NO_TRAINING = ("study", "launch", "evaluation", "comparison", "export")
_MOST_SESSIONS = 200


def read_subject(client: MlflowClient, name: str, *, equal_weights: str = "") -> ReportData:
    """Find `name` and read it. equal_weights: a run to compare a GradNorm run with.

    Raises UserError for an unknown name, a deleted run, or one without metrics of an epoch;
    ServerUnavailable.
    """
    found = find(client, name)
    beside = read_run(client, find(client, equal_weights).run_id) if equal_weights else None
    given = read_run(client, found.run_id)
    if found.version is not None:
        data = _of_run(client, given, "model")
        return replace(data, version=found.version, equal_weights=beside)
    if given.tags.get("mlops.kind") == "study":
        return replace(_of_study(client, given), equal_weights=beside)
    return replace(_of_run(client, given, "run"), equal_weights=beside)


def _of_run(client: MlflowClient, run: RunFacts, kind: str) -> ReportData:
    _has_epochs(run)
    study = None
    if run.parent and kind == "model":
        parent = _parent(client, run.parent)
        study = _study(client, parent)[0] if parent is not None else None
    return ReportData("model" if kind == "model" else "run", run, _sessions(client, run), study)


def _of_study(client: MlflowClient, parent: RunFacts) -> ReportData:
    study, final = _study(client, parent)
    best = final or _best(study)
    if best is None:
        trials = len(study.trials)
        raise UserError(
            f"study {parent.name}: none of its {trials} trials has metrics of an epoch, so there is nothing "
            f"to report{_why(study.trials)}"
        )
    run = read_run(client, best)
    _has_epochs(run)
    return ReportData("study", run, study.trials, study)


def _study(client: MlflowClient, parent: RunFacts) -> tuple[StudyFacts, str | None]:
    """The study, and the id of the run that trained its best with all epochs, if any."""
    with asking(f"study {parent.name}"):
        experiment = client.get_run(parent.run_id).info.experiment_id
    children = search(client, [experiment], f"tags.mlflow.parentRunId = '{parent.run_id}'")
    children = [child for child in children if child.data.tags.get("mlops.kind") not in _NO_TRAINING]
    objective = _objective(parent, children)
    with asking(f"the trials of study {parent.name}"):
        curves = curves_of_many(client, [child.info.run_id for child in children], objective)
    trials = tuple(
        listed(
            child,
            parent.experiment,
            {objective: curves[child.info.run_id]} if child.info.run_id in curves else {},
        )
        for child in children
    )
    lost = tuple(t.name for t in trials if objective in t.latest and objective not in t.curves)
    searched = tuple(
        key for key in parent.params.get("space", "").split(", ") if key and key not in ("none",)
    )
    final = [t.run_id for t in trials if t.tags.get("mlops.trial") == "final" and t.curves]
    return StudyFacts(parent, trials, objective, searched, lost), (final[-1] if final else None)


def _objective(parent: RunFacts, children: list[Run]) -> str:
    """The objective of the search: the study's `best/...`, else the first fitness metric of a trial."""
    said = [key.removeprefix("best/") for key in parent.latest if key.startswith("best/val/")]
    if said:
        return said[0]
    known = {key for child in children for key in child.data.metrics}
    return next((key for key in FITNESS if key in known), FITNESS[0])


def _best(study: StudyFacts) -> str | None:
    """The run id of the best trial: the one named by the study, else the one with the highest objective."""
    with_figures = [trial for trial in study.trials if trial.curves]
    named = study.run.tags.get("mlops.best_trial")
    for trial in with_figures:
        if named is not None and trial.tags.get("mlops.trial") == named:
            return trial.run_id
    best = max(with_figures, key=lambda t: highest(t, study.objective), default=None)
    return best.run_id if best else None


def highest(trial: RunFacts, objective: str) -> float:
    """The highest finite value of a trial's objective; -inf without any."""
    curve = trial.curve(objective)
    return max((v for v in curve.values if math.isfinite(v)), default=-math.inf) if curve else -math.inf


def _sessions(client: MlflowClient, run: RunFacts) -> tuple[RunFacts, ...]:
    """The trainings of the run's experiment, each with the history of the main metric."""
    with asking(f"the runs beside {run.run_id}"):
        experiment = client.get_run(run.run_id).info.experiment_id
    found = [
        each
        for each in search(client, [experiment], "", most=_MOST_SESSIONS)
        if each.data.tags.get("mlops.kind") not in _NO_TRAINING
    ]
    headline = next((key for key in HEADLINES if key in run.curves), HEADLINES[0])
    with asking("the histories of the runs"):
        curves = curves_of_many(client, [each.info.run_id for each in found], headline)
    return tuple(
        listed(
            each,
            run.experiment,
            {headline: curves[each.info.run_id]} if each.info.run_id in curves else {},
        )
        for each in found
    )


def _parent(client: MlflowClient, run_id: str) -> RunFacts | None:
    """The study's run; None if it was deleted."""
    try:
        return read_run(client, run_id)
    except UserError:
        return None


def _has_epochs(run: RunFacts) -> None:
    if not run.epochs:
        raise UserError(
            f"run {run.run_id} ({run.name}, {run.status}) has no metrics of any epoch, so there is nothing "
            f"to report{_why((run,))}"
        )


def _why(runs: tuple[RunFacts, ...]) -> str:
    reasons = [run.tags["mlops.failure"] for run in runs if run.tags.get("mlops.failure")]
    return f"; it failed: {reasons[-1][:300]}" if reasons else ""
