"""Find the run, study or model version for an argument of `mlops report`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion, UserError
from mlops.reports.reading.run_facts import search
from mlops.reports.tracked_facts import ReportedVersion
from mlops.store.client import asking
from mlops.store.resolve import Subject, find_subject

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_FIRST_ALIASES = ("production", "staging")


@dataclass(frozen=True, slots=True)
class NamedSubject:
    """run_id: the run, the study's parent run, or the run that trained the version."""

    run_id: str
    version: ReportedVersion | None = None


def find(client: MlflowClient, name: str) -> NamedSubject:
    """Find a run id, MODEL/VERSION, MODEL@ALIAS, or the name of a study, model or run, in this order.

    A model without a version means @production, else @staging, else its newest. Raises UserError.
    """
    name = name.strip().removeprefix("runs:/")
    if re.fullmatch(r"[0-9a-f]{32}", name):
        return NamedSubject(name)
    for look in (_version_named, _study_named, _model_named, _run_named):
        found = look(client, name)
        if found is not None:
            return found
    raise UserError(
        f"no run, study or registered model {name!r} in this store; list models with "
        "`mlops registry status`, and runs with the MLflow UI (`mlops server`)"
    )


def _version_named(client: MlflowClient, name: str) -> NamedSubject | None:
    """`MODEL/3`, `MODEL@alias`, with or without `models:/`; None for other names."""
    if not (name.startswith("models:/") or re.search(r"/\d+$|@[^@/]+$", name)):
        return None
    try:
        return _of_version(client, find_subject(client, name))
    except UnknownVersion:
        if name.startswith("models:/") or _is_model(client, re.split(r"/?@|/\d+$", name)[0]):
            raise
        return None


def _model_named(client: MlflowClient, name: str) -> NamedSubject | None:
    if not _is_model(client, name):
        return None
    with asking(f"the aliases of {name}"):
        aliases = client.get_registered_model(name).aliases or {}
    alias = next((f"@{alias}" for alias in _FIRST_ALIASES if alias in aliases), "")
    return _of_version(client, find_subject(client, name + alias))


def _of_version(client: MlflowClient, subject: Subject) -> NamedSubject:
    with asking(f"reading {subject.name}"):
        version = client.get_model_version(subject.model, subject.version)
    stage, aliases = str(version.current_stage or ""), tuple(version.aliases or ())
    return NamedSubject(subject.run_id, ReportedVersion(subject.model, subject.version, stage, aliases))


def _is_model(client: MlflowClient, name: str) -> bool:
    if "'" in name:
        return False
    with asking(f"looking for model {name}"):
        return bool(client.search_registered_models(f"name = '{name}'", max_results=1))


def _study_named(client: MlflowClient, name: str) -> NamedSubject | None:
    where = f"tags.mlops.study = {_quoted(name)} and tags.mlops.kind = 'study'"
    return _only(search(client, _experiments(client), where, most=10), "studies", name)


def _run_named(client: MlflowClient, name: str) -> NamedSubject | None:
    where = f"attributes.run_name = {_quoted(name)}"
    return _only(search(client, _experiments(client), where, most=10), "runs", name)


def _only(runs: list[Run], what: str, name: str) -> NamedSubject | None:
    if len(runs) > 1:
        ids = ", ".join(run.info.run_id for run in runs)
        raise UserError(f"{len(runs)} {what} have the name {name!r}; pass the id of one: {ids}")
    return NamedSubject(runs[0].info.run_id) if runs else None


def _experiments(client: MlflowClient) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        with asking("listing the experiments"):
            page = client.search_experiments(max_results=1000, page_token=token)
        found += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return found


def _quoted(name: str) -> str:
    """`name` quoted for a filter. Raises UserError if it has both kinds of quotes."""
    if "'" in name and '"' in name:
        raise UserError(f"{name!r} has both kinds of quotes and cannot be searched; pass the run's id")
    return f'"{name}"' if "'" in name else f"'{name}'"
