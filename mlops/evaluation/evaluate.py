"""The steps of `mlops evaluate`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import DetectionDataset
from mlops.errors import UnknownVersion
from mlops.evaluation.classification import measure_answers
from mlops.evaluation.context_values import EvaluationContext, Measurement
from mlops.evaluation.detection import measure_boxes
from mlops.evaluation.held_out_data import open_held_out
from mlops.evaluation.result import Evaluation, EvaluationVariant
from mlops.evaluation.review import write_review
from mlops.evaluation.sample_sources import SampleSource
from mlops.evaluation.tracked import FOLDER, keep_files, keep_metrics, refuse_unwritable
from mlops.evaluation.tta_and_ensembles import other_ways
from mlops.machine.processors import LoadMeter
from mlops.metrics.samples.image_names import picture_names
from mlops.prediction.onnx_model import open_onnx
from mlops.prediction.onnx_sessions import own_threads
from mlops.store.client import asking
from mlops.store.model_digests import digests
from mlops.store.resolve import Subject, find_subject, model_files
from registry.policies.recorded_files import refuse_changed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops.evaluation.result import EvaluationRequest

SECOND = "classification"  # the folder of a joint network's classes


def evaluate(client: MlflowClient, request: EvaluationRequest) -> Evaluation:
    """Evaluate a version and log the results to its run; nothing is logged before everything is computed.

    Raises UnknownVersion if it does not exist or has no model, DataFault for unusable data, UserError for
    versions that cannot be ensembled or an unwritable folder.
    """
    if request.out is not None:
        refuse_unwritable(request.out)
    subject = find_subject(client, request.given)
    with (
        tempfile.TemporaryDirectory(prefix="mlops-evaluate-") as folder,
        _scene(client, request, subject, Path(folder)) as scene,
    ):
        measured = _measured(scene)
        variants = [way for each in measured for way in other_ways(scene, each, opened_source)]
        notes = [note for each in measured for note in each.notes]
        if request.examples:
            notes += write_review(scene, measured)
        return _kept(scene, measured, variants, notes)


@contextmanager
def opened_source(
    client: MlflowClient, subject: Subject, request: EvaluationRequest, scratch: Path
) -> Iterator[SampleSource]:
    """Open a version's ONNX file. Raises UnknownVersion if it is missing or cannot be run, GateRefused if the
    version's files differ from those in the ledger.
    """
    meter = LoadMeter()
    with model_files(client, subject) as folder:
        found = sorted(folder.rglob("*.onnx"))
        if len(found) != 1:
            raise UnknownVersion(f"{subject.name} has {len(found)} ONNX files, expected exactly 1")
        if subject.model:
            refuse_changed(client, subject.model, subject.version, digests(folder), "evaluated")
        try:
            threads = request.threads or own_threads()
            predictor = open_onnx(found[0], threads=threads, spinning=not meter.read().busy)
        except ValueError as error:
            raise UnknownVersion(f"{subject.name}: {error}") from error
        yield SampleSource(client, subject.run_id, found[0], predictor, request.again, scratch)


@contextmanager
def _scene(
    client: MlflowClient, request: EvaluationRequest, subject: Subject, folder: Path
) -> Iterator[EvaluationContext]:
    run = _run(client, subject.run_id)
    with opened_source(client, subject, request, folder) as source:
        held = open_held_out(request, run, subject.name, source.predictor)
        drawn = folder / "drawn"
        drawn.mkdir()
        yield EvaluationContext(client, request, subject, run, source, held, drawn)


def _run(client: MlflowClient, run_id: str) -> Run:
    with asking(f"reading run {run_id}"):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise UnknownVersion(
            f"run {run_id} was deleted; restore it with `mlflow runs restore --run-id {run_id}`"
        )
    return run


def _measured(scene: EvaluationContext) -> list[Measurement]:
    """Boxes first, then classes; a joint network has both."""
    predictor, dataset = scene.source.predictor, scene.held.dataset
    measured = []
    if predictor.has_boxes and isinstance(dataset, DetectionDataset):
        measured.append(measure_boxes(scene, dataset))
    if predictor.has_probabilities:
        folder = scene.folder / SECOND if measured else scene.folder
        measured.append(measure_answers(scene, folder, joint=isinstance(dataset, DetectionDataset)))
    return measured


def _kept(
    scene: EvaluationContext,
    measured: Sequence[Measurement],
    variants: Sequence[EvaluationVariant],
    notes: Sequence[str],
) -> Evaluation:
    place, first = scene.held.place, measured[0]
    metrics = {name: value for each in measured for name, value in each.metrics.items()}
    for way in variants:
        metrics |= {f"{way.key}/{name}": value for name, value in way.metrics.items()}
        metrics[f"{way.key}/latency_ms"] = way.latency_ms
    drawn = sorted(file for file in scene.folder.rglob("*") if file.is_file())
    files = [pair for each in measured for pair in each.kept]
    for file in drawn:
        below = file.relative_to(scene.folder).parent.as_posix()
        files.append((file, f"{FOLDER}/{place}" if below == "." else f"{FOLDER}/{place}/{below}"))
    if scene.request.out is not None:
        for file, folder in files:
            (scene.request.out / folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, scene.request.out / folder / file.name)
    keep_files(scene.client, scene.subject.run_id, files)
    differs = keep_metrics(scene.client, scene.run, place, metrics)
    identity = scene.held.dataset.identity
    return Evaluation(
        name=scene.subject.name,
        run_id=scene.subject.run_id,
        split=scene.request.split,
        data=identity.name,
        digest=identity.digest,
        pictures=len(picture_names(scene.held.dataset, scene.request.split)),
        predicted=any(each.predicted for each in measured),
        metrics={f"{place}/{name}": value for name, value in metrics.items()},
        threshold=first.threshold,
        threshold_rule=first.threshold_rule,
        threshold_from=first.threshold_from,
        sheets=tuple(sheet for each in measured for sheet in each.sheets),
        variants=tuple(variants),
        files=tuple(f"{folder}/{file.name}" for file, folder in files),
        notes=(*notes, *differs),
    )
