"""One run, or many, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops.errors import MlopsError, UserError
from mlops.redaction import redact_recorded, redact_values
from mlops.reports.tracked_facts import RUN_PREFIXES, DatasetFacts, RunFacts, StoredFile
from mlops.store.client import asking
from mlops.store.histories import Curve, curves_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 1000
_MOST_FOLDERS = 40


def read_run(client: MlflowClient, run_id: str) -> RunFacts:
    """A run with all its curves and the list of its files. Raises UserError for a missing run."""
    with asking(f"run {run_id}"):
        run = client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            raise UserError(
                f"run {run_id} was deleted; restore it with `mlflow runs restore --run-id {run_id}`"
            )
        keys = [key for key in run.data.metrics if key.startswith((*RUN_PREFIXES, "system/"))]
        curves = curves_of(client, run_id, keys)
        experiment = client.get_experiment(run.info.experiment_id).name
    files, problem = _files(client, run_id)
    return _facts(run, experiment, curves, files, problem)


def listed(run: Run, experiment: str, curves: Mapping[str, Curve] | None = None) -> RunFacts:
    """A run from a search, with the given curves only; its files are unknown."""
    return _facts(run, experiment, curves or {}, None, "they were not requested")


def search(client: MlflowClient, experiments: list[str], wanted: str, most: int | None = None) -> list[Run]:
    """Existing runs that match the filter, oldest first; `most` limits them to the newest ones."""
    found: list[Run] = []
    token: str | None = None
    while True:
        with asking("searching runs"):
            page = client.search_runs(
                experiments,
                wanted,
                max_results=min(_PAGE, most or _PAGE),
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
        found += page
        token = page.token
        if not token or (most is not None and len(found) >= most):
            return found[:most][::-1]


def _facts(
    run: Run,
    experiment: str,
    curves: Mapping[str, Curve],
    files: tuple[StoredFile, ...] | None,
    problem: str,
) -> RunFacts:
    tags: dict[str, str] = redact_values(dict(run.data.tags))  # of a run of release 0.1, too
    return RunFacts(
        run_id=run.info.run_id,
        name=redact_recorded(run.info.run_name or ""),
        experiment=experiment,
        status=str(run.info.status),
        started_ms=run.info.start_time or 0,
        ended_ms=run.info.end_time,
        user=tags.get("mlflow.user") or run.info.user_id or "",
        parent=tags.get("mlflow.parentRunId", ""),
        tags=tags,
        params=redact_values(dict(run.data.params)),
        curves=curves,
        latest=dict(run.data.metrics),
        dataset=_dataset(run, tags),
        files=files,
        files_problem=problem,
    )


def _dataset(run: Run, tags: Mapping[str, str]) -> DatasetFacts | None:
    inputs = getattr(run.inputs, "dataset_inputs", None) or []
    if not inputs:
        return None
    dataset = inputs[0].dataset
    profile = _json(dataset.profile)
    pictures = profile.get("pictures")
    return DatasetFacts(
        name=dataset.name,
        digest=tags.get("mlops.dataset_digest") or dataset.digest or "",
        version=tags.get("mlops.dataset_version", ""),
        pictures=pictures if isinstance(pictures, dict) else {},
        classes=tuple(profile.get("classes") or ()),
        counts=profile.get("counts") or {},
    )


def _json(text: str | None) -> dict[str, Any]:
    try:
        held = json.loads(text or "{}")
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _files(client: MlflowClient, run_id: str) -> tuple[tuple[StoredFile, ...] | None, str]:
    """All files of a run except an earlier report's; None with the reason if they cannot be listed."""
    found: list[StoredFile] = []
    folders = [""]
    try:
        for _ in range(_MOST_FOLDERS):
            if not folders:
                break
            with asking(f"listing the files of run {run_id}"):
                for item in client.list_artifacts(run_id, folders.pop(0) or None):
                    if item.is_dir:
                        folders += [item.path] if item.path != "report" else []
                    else:
                        found.append(StoredFile(item.path, int(item.file_size or 0)))
    except MlopsError as error:
        return None, str(error)
    return tuple(sorted(found, key=lambda file: file.path)), ""
