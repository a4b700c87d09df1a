"""Read a candidate: find its run and everything that a comparison needs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops.comparison.candidate import BoxAnswers, CandidateLatency, ClassAnswers, Costs, MeasuredOn, Side
from mlops.errors import MlopsError, NotComparable, UnknownVersion
from mlops.metrics.samples.matching import read_detections
from mlops.metrics.samples.sample_tables import BOXES, PREDICTIONS, Header, read_answers, read_header
from mlops.store.client import asking
from mlops.store.resolve import Subject, data_profile, find_subject

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo, Run


_LOSS = re.compile(r"(train|val)/\w*loss")
_LATENCY_TAG = "mlops.latency"  # written by registry.evidence.gated_metrics


def read_side(client: MlflowClient, given: str, split: str, digest: str = "") -> Side:
    """The training that `given` names, with its per-sample tables in the folder `split` of its run.

    digest: of the test data of the other candidates; a table of `mlops evaluate --other-data` on these data
    is preferred. Raises NotComparable for a training without a table, UnknownVersion if it does not exist.
    """
    subject, run = find_side(client, given)
    tags, profile = dict(run.data.tags), data_profile(run)
    folder = _folder(client, run, split, digest)
    boxes, answers, header = _tables(client, str(run.info.run_id), folder)
    if boxes is None and answers is None:
        raise NotComparable(
            f"{given}: run {run.info.run_id} has no per-sample results in {split}/; "
            f"run `mlops evaluate {given}`"
        )
    pictures = profile.get("pictures")
    sizes: Mapping[str, int] = pictures if isinstance(pictures, dict) else {}
    trained = tags.get("mlops.dataset_digest", "")
    return Side(
        name=_name(subject, run),
        run_id=str(run.info.run_id),
        system=tags.get("mlops.system", ""),
        recipe=tags.get("mlops.recipe_digest", ""),
        seed=run.data.params.get("seed", ""),
        trained_digest=trained,
        trained_on=sizes.get("train"),
        tested=_tested(header, trained, str(profile.get("name", "")), split, sizes),
        classes=tuple(str(name) for name in profile.get("classes") or ()),
        boxes=boxes,
        answers=answers,
        threshold=run.data.metrics.get(f"{folder}/chosen/threshold"),
        costs=_costs(client, subject, run),
        losses={n: float(v) for n, v in run.data.metrics.items() if _LOSS.fullmatch(n) and np.isfinite(v)},
    )


def _name(subject: Subject, run: Run) -> str:
    if subject.model:
        return subject.name
    study, name = run.data.tags.get("mlops.study", ""), run.info.run_name or ""
    told = ", ".join(part for part in (study, name) if part)
    return f"{told} ({subject.run_id[:8]})" if told else subject.name


def _folder(client: MlflowClient, run: Run, split: str, digest: str) -> str:
    """The folder of the table; another one than the split's for data that the run was not trained on."""
    other = f"{split}-{digest[:8]}"
    if (
        digest
        and digest != run.data.tags.get("mlops.dataset_digest")
        and _listed(client, run.info.run_id, other)
    ):
        return other
    return split


def _tested(
    header: Header | None, digest: str, name: str, folder: str, sizes: Mapping[str, int]
) -> MeasuredOn:
    """From the table's header; without one the table is from training, which uses val if test is empty."""
    if header is not None:
        return MeasuredOn(name if header.digest == digest else "other data", header.digest, header.split)
    empty = folder == "test" and bool(sizes) and not sizes.get("test")
    return MeasuredOn(name, digest, "val" if empty else folder)


def read_boxes_table(file: Path) -> tuple[BoxAnswers, Header | None]:
    """Read a `boxes.parquet` with its header. Raises OSError, ValueError or KeyError for another file."""
    detections, classes = read_detections(file)
    header = read_header(file)
    return BoxAnswers(detections, classes, len(header.pictures) if header else None), header


def read_classes_table(file: Path) -> tuple[ClassAnswers, Header | None]:
    """Like `read_boxes_table`, for a `predictions.parquet`."""
    held, header = read_answers(file)
    order = np.argsort(held.image, kind="stable")
    return ClassAnswers(held.image[order], held.truth[order], held.predicted[order], held.classes), header


def _tables(
    client: MlflowClient, run_id: str, folder: str
) -> tuple[BoxAnswers | None, ClassAnswers | None, Header | None]:
    here = {item.path for item in _listed(client, run_id, folder)}
    boxes, answers, header = None, None, None
    if f"{folder}/{BOXES}" in here:
        with _fetched(client, run_id, f"{folder}/{BOXES}") as file:
            boxes, header = read_boxes_table(file)
    if f"{folder}/{PREDICTIONS}" in here:
        with _fetched(client, run_id, f"{folder}/{PREDICTIONS}") as file:
            answers, own = read_classes_table(file)
        header = header or own
    return boxes, answers, header


@contextmanager
def _fetched(client: MlflowClient, run_id: str, path: str) -> Iterator[Path]:
    """A temporary copy of the file. Raises MlopsError if it is not a valid table."""
    with tempfile.TemporaryDirectory(prefix="mlops-compare-") as folder:
        with asking(f"fetching {path} of run {run_id}"):
            file = Path(client.download_artifacts(run_id, path, folder))
        try:
            yield file
        except (OSError, ValueError, KeyError) as error:
            raise MlopsError(f"{path} of run {run_id} is not a valid table: {error}") from error


def _listed(client: MlflowClient, run_id: str, folder: str) -> list[FileInfo]:
    try:
        with asking(f"listing {folder} of run {run_id}"):
            return list(client.list_artifacts(run_id, folder))
    except UnknownVersion:
        return []


def _costs(client: MlflowClient, subject: Subject, run: Run) -> Costs:
    run_id = str(run.info.run_id)
    with asking(f"reading the curves of run {run_id}"):
        seconds = [p.value for p in client.get_metric_history(run_id, "time/epoch_s")]
        speed = [p.value for p in client.get_metric_history(run_id, "time/images_per_s")]
    return Costs(
        parameters=run.data.metrics.get("model/parameters"),
        onnx_bytes=_onnx_bytes(client, subject),
        weights_bytes=next(
            (float(f.file_size or 0) for f in _listed(client, run_id, "weights") if _is_best(f)), None
        ),
        training_s=float(np.sum(seconds)) if seconds else None,
        epochs=float(len(seconds)) if seconds else None,
        images_per_s=float(np.mean(speed)) if speed else None,
        latency=_latency(client, subject),
    )


def _is_best(file: FileInfo) -> bool:
    return bool(file.file_size) and Path(file.path).stem == "best"


def _onnx_bytes(client: MlflowClient, subject: Subject) -> float | None:
    """The size of the version's ONNX file; None without a version, or if its files are missing."""
    if not subject.model:
        return None
    import mlflow.artifacts

    try:
        with asking(f"listing the files of {subject.name}"):
            uri = client.get_model_version_download_uri(subject.model, subject.version)
            files = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri)
    except UnknownVersion:
        return None
    sizes = [float(file.file_size) for file in files if file.path.endswith(".onnx") and file.file_size]
    return sum(sizes) if sizes else None


def _latency(client: MlflowClient, subject: Subject) -> CandidateLatency | None:
    if not subject.model:
        return None
    with asking(f"reading {subject.name}"):
        tags = client.get_model_version(subject.model, subject.version).tags or {}
    try:
        held = json.loads(tags[_LATENCY_TAG])
        return CandidateLatency(str(held["device"]), float(held["p50_ms"]), float(held["p95_ms"]))
    except (KeyError, ValueError, TypeError):
        return None


def find_side(client: MlflowClient, given: str) -> tuple[Subject, Run]:
    """The training that `given` names, and its run; a study stands for its final model.

    Raises UnknownVersion if it does not exist, NotComparable for a deleted run or an unfinished study.
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
            raise UnknownVersion(f"{error}; no study {given!r} either") from error
        return Subject(str(study.info.run_id))


def _run(client: MlflowClient, run_id: str, given: str) -> Run:
    with asking(f"reading the run of {given}"):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise NotComparable(
            f"{given}: run {run_id} was deleted; restore it with `mlflow runs restore --run-id {run_id}`"
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
        raise NotComparable(f"{len(found)} studies are named {name}; use the run ID of one: {ids}")
    return found[0] if found else None


def _best_of(client: MlflowClient, study: Run, given: str) -> Run:
    """The run of the study's final fit, else of its best trial."""
    for trial in ("final", study.data.tags.get("mlops.best_trial", "")):
        wanted = f"tags.`mlflow.parentRunId` = '{study.info.run_id}' AND tags.`mlops.trial` = '{trial}'"
        with asking(f"reading the trials of {given}"):
            found: list[Run] = client.search_runs([str(study.info.experiment_id)], wanted, max_results=1)
        if found:
            return found[0]
    raise NotComparable(f"study {given} has no finished model yet; resume it with `mlops train`")
