"""Tracker and Run: the logging interface of the product. Logging never waits for a network."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from mlops.errors import UserError
from mlops.redaction import redact_recorded, redact_values
from mlops.store.identity import me
from mlops.store.location import absolute_uri, prepare_environment
from mlops.store.names import MAX_DATASET_DIGEST, entity_names, param_text, tag_texts
from mlops.tracking.delivery.deliverer import Deliverer, SyncReport
from mlops.tracking.outbox.entries import SUMMARY, EntryKind, RunRow
from mlops.tracking.outbox.recorder import Outbox, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

Status = Literal["FINISHED", "FAILED", "KILLED"]
EPOCHS = "epoch"
_log = logging.getLogger(__name__)


class Run:
    """One run. Accepted entries are never lost, even if this process or the server dies.

    Secrets in params, tags, a data set's source, and in files of settings and logs are replaced by `***`
    before they are accepted.

    Every method returns as soon as the outbox has its entry, and raises DiskFull if there is no space for it.
    """

    def __init__(self, outbox: Outbox, row: RunRow, wake: Callable[[], None]) -> None:
        self._outbox = outbox
        self._row = row.id
        self._wake = wake
        self.key = row.key
        self.experiment = row.experiment
        self.adopted = row.adopt  # the existing MLflow run used for it, or ""

    def log_epoch(self, step: int, metrics: Mapping[str, float], at: datetime | int | None = None) -> None:
        """Accept one epoch's metrics as one row; an existing row of the epoch is kept.

        step: the epoch, from 1. at: when it ended (ms since 1970 if an int), default now.
        """
        self.log_metrics(EPOCHS, step, metrics, at)

    def log_summary(self, name: str, metrics: Mapping[str, float]) -> None:
        """Accept metrics of the whole run (`test`, `best`), once for each `name`."""
        self.log_metrics(SUMMARY + name, 0, metrics)

    def log_metrics(
        self, series: str, step: int, metrics: Mapping[str, float], at: datetime | int | None = None
    ) -> None:
        """Accept metrics as one row of a `series`; the first row of each (series, step) is kept."""
        at_ms = int(at.timestamp() * 1000) if isinstance(at, datetime) else at
        payload = {name: float(value) for name, value in metrics.items()}
        self._outbox.accept(self._row, EntryKind.METRICS, payload, series=series, step=int(step), at_ms=at_ms)
        self._wake()

    def log_params(self, params: Mapping[str, object]) -> None:
        """Accept params. MLflow's params cannot change: another value is ignored with a warning."""
        names = entity_names(params)
        texts = {
            names[name]: redact_recorded(param_text(redact_values(value))) for name, value in params.items()
        }
        for name, kept in self._outbox.accept_params(self._row, texts, now_ms()).items():
            _log.warning(
                "run %s: param %s is %r; the new value %r is ignored", self.key, name, kept, texts[name]
            )
        self._wake()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Accept tags; the last value of each is kept."""
        if tags:
            self._outbox.accept(self._row, EntryKind.TAGS, _public(tags))
            self._wake()

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Accept a file, or every file of a folder, in its present state; later changes have no effect.

        folder: folder in the run's artifacts, "" for the top. A file with the same content as the newest
        accepted one is not accepted again.
        """
        if path.is_dir():
            files = [
                (p, "/".join((folder, path.name, *p.relative_to(path).parts[:-1]))) for p in _files(path)
            ]
        elif path.is_file():
            files = [(path, folder)]
        else:
            raise UserError(f"{path} cannot be logged as an artifact: it does not exist")
        newest = {
            e.payload["path"]: e.payload["sha256"]
            for e in self._outbox.entries_of(self._row, EntryKind.ARTIFACT)
        }
        accepted = []
        for file, where in files:
            spooled = self._outbox.spool.accept(file)
            target = f"{where.strip('/')}/{file.name}".lstrip("/")
            if newest.get(target) == spooled.sha256:
                self._outbox.spool.drop(spooled.path)
                continue
            accepted.append(
                {
                    "path": target,
                    "spool": spooled.path,
                    "sha256": spooled.sha256,
                    "size_bytes": spooled.size_bytes,
                }
            )
        self._outbox.accept_once(self._row, EntryKind.ARTIFACT, accepted)
        self._wake()

    def log_dataset(
        self,
        name: str,
        digest: str,
        source: str,
        context: str = "training",
        profile: Mapping[str, object] | None = None,
        schema: Mapping[str, object] | None = None,
    ) -> None:
        """Accept the data set of the run. MLflow keeps 36 characters of the digest."""
        payload = {
            "name": name,
            "digest": digest[:MAX_DATASET_DIGEST],
            "source": json.dumps({"uri": redact_recorded(source)}),
            "context": context,
            "profile": None if profile is None else json.dumps(redact_values(profile)),
            "schema": None if schema is None else json.dumps(redact_values(schema)),
        }
        self._outbox.accept_once(
            self._row, EntryKind.DATASET, [payload], series=f"dataset {name} {digest} {context}"
        )
        self._wake()

    def log_model(
        self,
        folder: Path,
        name: str,
        *,
        register_as: str | None = None,
        version_tags: Mapping[str, str] | None = None,
        alias: str | None = None,
    ) -> None:
        """Accept a complete MLflow model folder (from a flavour's `save_model`), once for each `name`.

        A model that was accepted without registration is accepted again with it.

        register_as: the registered model that gets the new version; created if it is missing.
        """
        if not (folder / "MLmodel").is_file():
            raise UserError(f"{folder} is not an MLflow model: its MLmodel file is missing")
        series = f"model {name}" if register_as else f"model {name} unregistered"
        if self._outbox.last_step(self._row, series) is not None:
            return
        slot, _ = self._outbox.spool.accept_folder(folder)
        payload = {
            "name": name,
            "spool": slot,
            "register_as": register_as,
            "version_tags": redact_values(dict(version_tags or {})),
            "alias": alias,
        }
        self._outbox.accept_once(self._row, EntryKind.MODEL, [payload], series=series)
        self._wake()

    def finish(self, status: Status = "FINISHED", at_ms: int | None = None) -> None:
        """Accept the end of the run, now or at `at_ms`. Later entries are still delivered."""
        self._outbox.accept(self._row, EntryKind.STATUS, {"status": status}, at_ms=at_ms)
        self.barrier()
        self._wake()

    def resume(self) -> None:
        """Set the status of an ended run to running."""
        ended = self._outbox.entries_of(self._row, EntryKind.STATUS)
        if ended and ended[-1].payload["status"] != "RUNNING":
            self._outbox.accept(self._row, EntryKind.STATUS, {"status": "RUNNING"})
            self._wake()

    def barrier(self) -> None:
        """Return when everything accepted is safe from a power failure."""
        self._outbox.barrier()

    def accepted_tags(self) -> dict[str, str]:
        """All accepted tags of the run, with their newest values."""
        tags: dict[str, str] = {}
        for entry in self._outbox.entries_of(self._row, EntryKind.TAGS):
            tags.update(entry.payload)
        return tags

    def last_step(self, series: str = EPOCHS) -> int | None:
        """The newest step accepted, or None."""
        return self._outbox.last_step(self._row, series)

    def mlflow_id(self) -> str | None:
        """MLflow's id of the run, None until the run is created on the server."""
        return self._outbox.run(self._row).mlflow_id

    def registered_version(self) -> int | None:
        """The version of this run's newest registered model, None until it is delivered."""
        versions = [e.memo.get("version") for e in self._outbox.entries_of(self._row, EntryKind.MODEL)]
        found = [int(version) for version in versions if version]
        return found[-1] if found else None


class Tracker:
    """Opens runs and, while open, delivers the outbox of `home` to the store at `uri`.

    deliver: False leaves delivery to other processes; `sync` works nevertheless.
    """

    def __init__(self, home: Path, uri: str, *, deliver: bool = True) -> None:
        prepare_environment()
        self.uri = absolute_uri(uri)
        self._outbox = Outbox(home)
        self._deliverer = Deliverer(home, self.uri)
        self._deliver = deliver

    def __enter__(self) -> Self:
        if self._deliver:
            self._deliverer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deliverer.stop()
        self._outbox.close()

    def start_run(
        self,
        key: str,
        *,
        experiment: str,
        name: str,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        adopt: str | None = None,
        uid: str = "",
        start_ms: int | None = None,
    ) -> Run:
        """The run of this key: a new one, or the existing one, which is set to running.

        parent: the key of an existing run. adopt: the id of an existing MLflow run to use.
        uid: identifies the run in the store, from any outbox. start_ms: default now.
        """
        given = _public({"mlflow.user": me(), **(tags or {})})
        parent_row = None if parent is None else self._known(parent).id
        row, is_new = self._outbox.open_run(
            self.uri,
            key,
            experiment=experiment,
            name=redact_recorded(name),
            parent=parent_row,
            adopt=adopt or "",
            tags=given,
            uid=uid,
            start_ms=start_ms,
        )
        run = Run(self._outbox, row, self._deliverer.wake)
        if not is_new:
            run.resume()
            run.set_tags(tags or {})
        self._deliverer.wake()
        return run

    def known_run(self, key: str) -> Run | None:
        """As `run`; None if no run of this key was started."""
        row = self._outbox.find_run(self.uri, key)
        return None if row is None else Run(self._outbox, row, self._deliverer.wake)

    def run(self, key: str) -> Run:
        """An existing run, started by this process or another; its status is not changed."""
        return Run(self._outbox, self._known(key), self._deliverer.wake)

    def sync(
        self, timeout_s: float | None, on_progress: Callable[[int, int], None] | None = None
    ) -> SyncReport:
        """Deliver all pending entries. Returns when nothing is left, the store fails, or the time is up.

        timeout_s: None for no limit. on_progress: called with (delivered, left) about once a second.
        """
        return self._deliverer.sync(timeout_s, on_progress)

    def _known(self, key: str) -> RunRow:
        row = self._outbox.find_run(self.uri, key)
        if row is None:
            raise UserError(f"no run {key!r} has been started for {self.uri}; start it first")
        return row


def _public(tags: Mapping[str, object]) -> dict[str, str]:
    """The tags as MLflow accepts them, without secrets; also where one is cut off at the limit of length."""
    return {name: redact_recorded(value) for name, value in tag_texts(redact_values(dict(tags))).items()}


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())
