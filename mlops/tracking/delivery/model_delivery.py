"""Deliver a model folder as MLflow's LoggedModel and register it as a version, each exactly once.

Every step that must happen once on the server stores its id in the entry's memo. If an answer was lost, the
next attempt searches for the result of the last one by its tag, the entry's uid.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from mlops.errors import LedgerBroken, NotAllowed
from mlops.files.atomic import partial_file
from mlops.store.location import is_database
from mlops.store.model_digests import digests
from mlops.store.names import ENTRY_UID_TAG, entity_names
from mlops.tracking.outbox.entries import SUMMARY
from registry.ledger.registration import Registration, origin_of, register, run_files

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from mlops.tracking.delivery.book import DeliveryBook
    from mlops.tracking.outbox.entries import OutboxEntry, RunRow


_log = logging.getLogger(__name__)


class ModelDelivery:
    """The delivery of one model entry; resumes from its memo."""

    def __init__(
        self, client: MlflowClient, outbox: DeliveryBook, uri: str, run: RunRow, entry: OutboxEntry
    ) -> None:
        self._client, self._outbox, self._uri, self._run, self._entry = client, outbox, uri, run, entry
        self._memo: dict[str, Any] = dict(entry.memo)

    def deliver(self) -> None:
        model = self._logged_model()
        if "uploaded" not in self._memo:
            folder = self._outbox.spool.path(self._entry.payload["spool"])
            _name_model_inside(folder, model, str(self._run.mlflow_id))
            files = digests(folder)
            self._client.log_model_artifacts(model.model_id, str(folder))
            self._client.finalize_logged_model(model.model_id, "READY")
            self._remember(uploaded=True, files=files)
        self._show_on_run(model.model_id)
        if self._entry.payload["register_as"]:
            self._register(model)

    def _remember(self, **known: object) -> None:
        self._memo.update(known)
        self._outbox.set_memo(self._entry.seq, self._memo)

    def _logged_model(self) -> LoggedModel:
        if "model_id" in self._memo:
            return self._client.get_logged_model(self._memo["model_id"])
        model = None
        if "model_tried" in self._memo:
            made = self._client.search_logged_models(
                [str(self._run.experiment_id)], filter_string=f"tags.`{ENTRY_UID_TAG}` = '{self._entry.uid}'"
            )
            model = made[0] if made else None
        if model is None:
            self._remember(model_tried=True)
            params = self._client.get_run(str(self._run.mlflow_id)).data.params
            model = self._client.create_logged_model(
                experiment_id=str(self._run.experiment_id),
                name=self._entry.payload["name"],
                source_run_id=self._run.mlflow_id,
                tags={ENTRY_UID_TAG: self._entry.uid},
                params=params,
            )
        self._remember(model_id=model.model_id)
        return model

    def _show_on_run(self, model_id: str) -> None:
        from mlflow.entities import LoggedModelOutput

        if "shown" in self._memo:
            return
        run_id = str(self._run.mlflow_id)
        outputs = self._client.get_run(run_id).outputs
        if outputs is None or all(output.model_id != model_id for output in outputs.model_outputs):
            self._client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        self._remember(shown=True)

    def _register(self, model: LoggedModel) -> None:
        name, alias = self._entry.payload["register_as"], self._entry.payload["alias"]
        if "version" not in self._memo:
            version = self._version_made_before(name) if "version_tried" in self._memo else None
            if version is None:
                self._ensure_registered_model(name)
                self._remember(version_tried=True)
                version = self._client.create_model_version(
                    name,
                    # with a direct database, MLflow would look up `models:/` in its global store
                    source=model.artifact_location if is_database(self._uri) else f"models:/{model.model_id}",
                    run_id=self._run.mlflow_id,
                    tags={**self._entry.payload["version_tags"], ENTRY_UID_TAG: self._entry.uid},
                    model_id=model.model_id,
                )
            self._remember(version=str(version.version))
        if "linked" not in self._memo:
            link = json.dumps([{"name": name, "version": int(self._memo["version"])}])
            self._client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
            if alias:
                self._client.set_registered_model_alias(name, alias, self._memo["version"])
            self._remember(linked=True)
        if "recorded" not in self._memo and "files" in self._memo:
            self._record_in_ledger(name)

    def _record_in_ledger(self, name: str) -> None:
        """Write the version's first entry; without the right to, the next stage change writes it."""
        run, outbox = self._run, self._outbox
        of_study = outbox.artifact_digests(run.parent) if run.parent is not None else {}
        registration = Registration(
            file_digests=self._memo["files"],
            run_file_digests=run_files(outbox.artifact_digests(run.id), of_study),
            origin=origin_of(str(run.mlflow_id), self._entry.payload["version_tags"], self._test_metrics()),
        )
        try:
            register(self._client, name, str(self._memo["version"]), registration, self._entry.uid)
        except (NotAllowed, LedgerBroken) as error:
            _log.warning("version %s of %s is not in its ledger yet: %s", self._memo["version"], name, error)
        self._remember(recorded=True)

    def _test_metrics(self) -> dict[str, float]:
        """As MLflow names them."""
        found = self._outbox.metrics_of(self._run.id, SUMMARY + "test")
        names = entity_names(found)
        return {names[name]: float(value) for name, value in found.items()}

    def _version_made_before(self, name: str) -> ModelVersion | None:
        for version in self._client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(ENTRY_UID_TAG) == self._entry.uid:
                return version
        return None

    def _ensure_registered_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                raise


def _name_model_inside(folder: Path, model: LoggedModel, run_id: str) -> None:
    """Write the model's id and run into its MLmodel file, like MLflow's `Model.log`."""
    from mlflow.models import Model

    path = folder / "MLmodel"
    described = Model.load(str(path))
    described.artifact_path = model.artifact_location
    described.model_uuid = described.model_id = model.model_id
    described.run_id = run_id
    with partial_file(path) as partial:
        described.save(str(partial))
