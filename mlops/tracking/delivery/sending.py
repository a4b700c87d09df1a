"""Send each kind of entry to MLflow idempotently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops.redaction import redact_recorded
from mlops.store.location import artifact_location
from mlops.store.names import RUN_KEY_TAG, RUN_UID_TAG
from mlops.tracking.outbox.entries import EntryKind, OutboxEntry, RunRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from mlops.tracking.delivery.book import DeliveryBook


# MLflow's UI shows the experiment as training runs, not as traces of an agent
_KIND_TAG, _KIND = "mlflow.experimentKind", "custom_model_development"


class Blocked(Exception):
    """A run that cannot be created in the store now; its entries stay pending."""


def make_run(client: MlflowClient, outbox: DeliveryBook, uri: str, row: RunRow) -> str:
    """The id of the MLflow run of `row`: the adopted one, that of an earlier attempt, or a new one.

    Raises Blocked with the reason if it cannot be created.
    """
    parent = None if row.parent is None else outbox.run(row.parent)
    if parent is not None and parent.mlflow_id is None:
        raise Blocked(f"its parent run {parent.key} has not been delivered")
    tags = {**row.tags, RUN_KEY_TAG: row.key, RUN_UID_TAG: row.uid}
    if parent is not None:
        tags["mlflow.parentRunId"] = str(parent.mlflow_id)
    if row.adopt:
        adopted = _adopt(client, row, tags)
        if adopted is not None:
            outbox.mark_made(row.id, row.adopt, adopted)
            return row.adopt
    experiment_id = (
        parent.experiment_id if parent and parent.experiment_id else _experiment(client, uri, row.experiment)
    )
    found = _made_before(client, experiment_id, row) if row.create_tried else None
    if found is None:
        outbox.mark_create_tried(row.id)
        found = client.create_run(
            experiment_id, start_time=row.start_ms, tags=tags, run_name=row.name
        ).info.run_id
    outbox.mark_made(row.id, found, experiment_id)
    return found


def _adopt(client: MlflowClient, row: RunRow, tags: dict[str, str]) -> str | None:
    """Adopt the existing run; returns its experiment's id, or None if it cannot be used."""
    from mlflow.entities import RunTag
    from mlflow.exceptions import MlflowException

    try:
        adopted = client.get_run(row.adopt)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    info = adopted.info
    if info.lifecycle_stage != "active":
        return None
    named = {**_without_secrets(adopted.data.tags), **tags, "mlflow.runName": row.name}
    client.log_batch(row.adopt, tags=[RunTag(k, v) for k, v in named.items()])
    client.update_run(row.adopt, name=row.name, status="RUNNING")
    if _KIND_TAG not in client.get_experiment(info.experiment_id).tags:
        client.set_experiment_tag(info.experiment_id, _KIND_TAG, _KIND)
    return str(info.experiment_id)


def _without_secrets(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that contain a secret, without it: `mlflow run` stores the URL of the git remote."""
    public = {name: redact_recorded(value) for name, value in tags.items()}
    return {name: value for name, value in public.items() if value != tags[name]}


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            location = artifact_location(uri, name)
            return str(client.create_experiment(name, location, tags={_KIND_TAG: _KIND}))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    if found.lifecycle_stage != "active":
        raise Blocked(
            f"experiment {name!r} was deleted; restore it with"
            f" `mlflow experiments restore --experiment-id {found.experiment_id}`, then `mlops sync`"
        )
    return str(found.experiment_id)


def _made_before(client: MlflowClient, experiment_id: str, row: RunRow) -> str | None:
    found = client.search_runs([experiment_id], f"tags.`{RUN_UID_TAG}` = '{row.uid}'", max_results=1)
    return found[0].info.run_id if found else None


def newest_tags(outbox: DeliveryBook, entries: list[OutboxEntry]) -> dict[str, str]:
    """The tags of `entries` with their newest accepted values, so that a late retry sets no old value."""
    if not entries:
        return {}
    wanted = {name for entry in entries for name in entry.payload}
    newest: dict[str, str] = {}
    oldest = min(entry.seq for entry in entries)
    for entry in outbox.entries_of(entries[0].run, EntryKind.TAGS, after=oldest - 1):
        newest.update({name: value for name, value in entry.payload.items() if name in wanted})
    return newest


def send_dataset(client: MlflowClient, run_id: str, payload: dict[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=payload["name"],
        digest=payload["digest"],
        source_type="local",
        source=payload["source"],
        schema=payload["schema"],
        profile=payload["profile"],
    )
    tags = [InputTag("mlflow.data.context", payload["context"])]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])


def send_artifact(client: MlflowClient, outbox: DeliveryBook, run_id: str, entry: OutboxEntry) -> None:
    """Upload the file, unless a later accepted one has the same path."""
    later = outbox.entries_of(entry.run, EntryKind.ARTIFACT, after=entry.seq)
    if any(other.payload["path"] == entry.payload["path"] for other in later):
        return
    folder = entry.payload["path"].rpartition("/")[0]
    client.log_artifact(run_id, str(outbox.spool.path(entry.payload["spool"])), folder or None)


def send_status(client: MlflowClient, outbox: DeliveryBook, run_id: str, entry: OutboxEntry) -> None:
    """Set the newest status, with the end time if the run ended."""
    if outbox.entries_of(entry.run, EntryKind.STATUS, after=entry.seq):
        return
    status = entry.payload["status"]
    if status == "RUNNING":
        client.update_run(run_id, status=status)
    else:
        client.set_terminated(run_id, status, end_time=entry.at_ms)
