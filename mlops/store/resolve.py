"""Resolve a run ID, version or alias to a run and its files."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlops.errors import UnknownVersion
from mlops.store.client import asking, of_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Subject:
    """A training run and its version. model, version: "" if none is registered."""

    run_id: str
    model: str = ""
    version: str = ""

    @property
    def name(self) -> str:
        """`model/3`, or `run 0123abcd`."""
        return f"{self.model}/{self.version}" if self.model else f"run {self.run_id[:8]}"


def find_subject(client: MlflowClient, given: str) -> Subject:
    """The run that `given` names.

    given: `NAME/VERSION`, `NAME@ALIAS` (or `NAME/@ALIAS`), `NAME` for its newest version, each with or
        without `models:/`, or a run ID, with or without `runs:/`.
    Raises UnknownVersion if it does not exist, or for a version without a run.
    """
    text = given.strip().removeprefix("models:/").removeprefix("runs:/").strip("/")
    if _RUN_ID.fullmatch(text):
        return _of_run(client, text)
    model, _, rest = text.partition("@") if "@" in text else text.partition("/")
    model, alias = model.rstrip("/"), rest if "@" in text else ""
    if not model or "'" in model:
        raise UnknownVersion(
            f"{given!r} is not a version or run; use NAME/VERSION, NAME@ALIAS, NAME or a run ID"
        )
    if alias:
        with asking(f"looking up {model}@{alias}"):
            aliases = client.get_registered_model(model).aliases or {}
            if alias not in aliases:
                have = ", ".join(f"@{each}" for each in aliases) or "none"
                raise UnknownVersion(f"{model} has no alias @{alias}; its aliases: {have}")
            found = client.get_model_version(model, str(aliases[alias]))
    elif rest:
        if not rest.isdecimal():
            raise UnknownVersion(
                f"{given!r} is not a version, which is a number; for an alias use {model}@{rest}"
            )
        with asking(f"looking up {model}/{rest}"):
            found = client.get_model_version(model, rest)
    else:
        found = _newest(client, model)
    if not found.run_id:
        raise UnknownVersion(f"{model}/{found.version} has no run, so it has no metrics and data to read")
    return Subject(str(found.run_id), model, str(found.version))


@contextmanager
def model_files(client: MlflowClient, subject: Subject) -> Iterator[Path]:
    """The folder of the run's model: the original if it is on this machine, else a temporary copy.

    Raises UnknownVersion for a run without a model, or if its files are missing.
    """
    if subject.model:
        with asking(f"finding the files of {subject.name}"):
            uri = client.get_model_version_download_uri(subject.model, subject.version)
    else:
        uri = _logged_model(client, subject)
    with folder_at(client, uri, subject.name) as folder:
        yield folder


@contextmanager
def folder_at(client: MlflowClient, uri: str, name: str) -> Iterator[Path]:
    """The folder at `uri`, which belongs to `name`. Raises UnknownVersion if it is missing or empty."""
    import mlflow.artifacts

    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        here = Path(unquote(parts.path)) if parts.scheme else Path(uri)
        yield _not_empty(here, name)
        return
    with tempfile.TemporaryDirectory(prefix="mlops-model-") as folder:
        with asking(f"fetching the files of {name}"):
            fetched = mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=folder, tracking_uri=client.tracking_uri
            )
        yield _not_empty(Path(fetched), name)


def data_sources(run: Run) -> tuple[str, ...]:
    """The paths of the data set that a run was trained on, as given; () if unknown."""
    for known in run.inputs.dataset_inputs if run.inputs is not None else ():
        try:
            uri = str(json.loads(known.dataset.source)["uri"])
        except (ValueError, KeyError, TypeError):
            continue
        return tuple(path for path in uri.split(", ") if path)
    return ()


def data_profile(run: Run) -> dict[str, Any]:
    """The recorded data set of a run: name, images of each split, classes; {} if unknown."""
    for known in run.inputs.dataset_inputs if run.inputs is not None else ():
        context = {tag.key: tag.value for tag in known.tags}.get("mlflow.data.context", "training")
        try:
            held = json.loads(known.dataset.profile or "{}")
        except ValueError:
            continue
        if context == "training" and isinstance(held, dict):
            return {**held, "name": known.dataset.name}
    return {}


def recorded_class_map(run: Run) -> dict[str, dict[str, str | None]] | None:
    """The class map of the training, by source; None without one."""
    recorded: dict[str, dict[str, str | None]] = data_profile(run).get("class_map") or {}
    return recorded or None


def _of_run(client: MlflowClient, run_id: str) -> Subject:
    with asking(f"looking up run {run_id}"):
        client.get_run(run_id)
        versions: list[ModelVersion] = client.search_model_versions(f"run_id = '{run_id}'")
    if not versions:
        return Subject(run_id)
    if len({version.name for version in versions}) > 1:
        names = ", ".join(sorted(f"{version.name}/{version.version}" for version in versions))
        raise UnknownVersion(f"run {run_id} has versions of several models; use one of them: {names}")
    newest = max(versions, key=lambda version: int(version.version))
    return Subject(run_id, str(newest.name), str(newest.version))


def _newest(client: MlflowClient, model: str) -> ModelVersion:
    with asking(f"looking up {model}"):
        found: list[ModelVersion] = client.search_model_versions(
            of_name(model), max_results=1, order_by=["version_number DESC"]
        )
        known = found or client.search_registered_models(of_name(model), max_results=1)
    if not known:
        raise UnknownVersion(f"no registered model {model!r}; list them with `mlops registry status`")
    if not found:
        raise UnknownVersion(f"the registered model {model!r} has no versions yet")
    return found[0]


def _logged_model(client: MlflowClient, subject: Subject) -> str:
    with asking(f"looking for the model of {subject.name}"):
        outputs = client.get_run(subject.run_id).outputs
        made = list(outputs.model_outputs) if outputs is not None else []
        if made:
            return str(client.get_logged_model(made[-1].model_id).artifact_location)
    raise UnknownVersion(f"{subject.name} has no model; use the run of a finished training, or a version")


def _not_empty(folder: Path, name: str) -> Path:
    if not folder.is_dir() or not any(folder.iterdir()):
        raise UnknownVersion(f"the files of {name} are missing: {folder} is empty or does not exist")
    return folder


def run_of(client: MlflowClient, run_id: str | None) -> Run | None:
    """The training run; None for a version without one, or whose run was deleted for good."""
    if not run_id:
        return None
    try:
        with asking(f"reading run {run_id}"):
            return client.get_run(run_id)
    except UnknownVersion:
        return None
