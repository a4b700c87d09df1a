"""Evaluate with test-time augmentation or an ensemble: gain and cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.errors import DataFault, UserError
from mlops.evaluation.held_out_data import DIGEST_TAG
from mlops.evaluation.result import EvaluationVariant
from mlops.evaluation.sample_sources import answers_of, boxes_of
from mlops.metrics.box_ap import coco_figures
from mlops.metrics.class_metrics import calibration, headline
from mlops.metrics.samples.sample_tables import ClassTable
from mlops.prediction.ensemble import mean_answers, voted_boxes
from mlops.prediction.onnx_model import AS_IT_IS, Flip, Picture, Predictor
from mlops.prediction.split_predictions import IOU, LEAST_SCORE, MOST, ask_answers, ask_boxes
from mlops.store.client import asking
from mlops.store.resolve import Subject, find_subject

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

    from mlops.data.dataset import Dataset, SplitName
    from mlops.evaluation.context_values import EvaluationContext, Measurement
    from mlops.evaluation.result import EvaluationRequest
    from mlops.evaluation.sample_sources import SampleSource
    from mlops.metrics.samples.boxes import Boxes

Open: TypeAlias = (
    "Callable[[MlflowClient, Subject, EvaluationRequest, Path], AbstractContextManager[SampleSource]]"
)

_TIMED = 32  # images


def other_ways(scene: EvaluationContext, measured: Measurement, open_source: Open) -> list[EvaluationVariant]:
    """The requested variants. Raises UserError for versions that cannot be ensembled."""
    ways = []
    if scene.request.tta:
        ways.append(_mirrored(scene, measured))
    if scene.request.others:
        ways.append(_together(scene, measured, open_source))
    return ways


def _mirrored(scene: EvaluationContext, measured: Measurement) -> EvaluationVariant:
    predictor, dataset, split = scene.source.predictor, scene.held.dataset, scene.request.split
    flips = flips_of(scene.run.data.params)
    more = [flip for flip in flips if any(flip)]
    alone, so = measured.table, measured.table
    try:
        if isinstance(alone, ClassTable):
            so = mean_answers([alone, *(ask_answers(predictor, dataset, split, flip) for flip in more)])
        elif isinstance(dataset, DetectionDataset):
            so = voted_boxes([alone, *(ask_boxes(predictor, dataset, split, flip) for flip in more)])
    except ValueError as error:
        raise DataFault(str(error)) from error
    pictures = some_pictures(dataset, split)
    return EvaluationVariant(
        key="tta",
        name=f"test-time augmentation ({len(flips)} views per image)",
        metrics=_headline(so, measured.classes),
        alone=_headline(alone, measured.classes),
        calls=len(flips),
        latency_ms=latency_ms(predictor, pictures, flips),
        alone_ms=latency_ms(predictor, pictures, (AS_IT_IS,)),
    )


def _together(scene: EvaluationContext, measured: Measurement, open_source: Open) -> EvaluationVariant:
    """The other versions' tables are read from their runs, or created temporarily."""
    request, dataset = scene.request, scene.held.dataset
    pictures = some_pictures(dataset, request.split)
    alone_ms = all_ms = latency_ms(scene.source.predictor, pictures, (AS_IT_IS,))
    boxes: list[Boxes] = [] if isinstance(measured.table, ClassTable) else [measured.table]
    answers: list[ClassTable] = [measured.table] if isinstance(measured.table, ClassTable) else []
    names = []
    with ExitStack() as held:
        for given in request.others:
            subject = find_subject(scene.client, given)
            names.append(subject.name)
            if subject.run_id == scene.subject.run_id:
                raise UserError(
                    f"{given} is {scene.subject.name} itself; choose another version to ensemble with"
                )
            source = held.enter_context(open_source(scene.client, subject, request, scene.source.scratch))
            place = _place(scene, subject)
            if answers and source.predictor.has_probabilities:
                made = answers_of(source, dataset, request.split, place).answers
                answers += [made] if made is not None else []
            elif boxes and source.predictor.has_boxes and isinstance(dataset, DetectionDataset):
                found = boxes_of(source, dataset, request.split, place).boxes
                boxes += [found] if found is not None else []
            else:
                raise UserError(
                    f"cannot ensemble {given} and {scene.subject.name}: they have different tasks"
                )
            if source.predictor.classes != scene.source.predictor.classes:
                raise UserError(
                    f"cannot ensemble {given} and {scene.subject.name}: they have different classes"
                )
            all_ms += latency_ms(source.predictor, pictures, (AS_IT_IS,))
    try:
        so = mean_answers(answers) if answers else voted_boxes(boxes)
    except ValueError as error:
        raise UserError(f"cannot ensemble {scene.subject.name} and {', '.join(names)}: {error}") from error
    return EvaluationVariant(
        key="with/" + "-and-".join(name.replace("/", "-").removeprefix("run ") for name in names),
        name=f"ensemble with {', '.join(names)}",
        metrics=_headline(so, measured.classes),
        alone=_headline(measured.table, measured.classes),
        calls=1 + len(names),
        latency_ms=all_ms,
        alone_ms=alone_ms,
    )


def _place(scene: EvaluationContext, subject: Subject) -> str:
    """The folder of the other version's table for these data."""
    digest, split = scene.held.dataset.identity.digest, scene.request.split
    with asking(f"reading run {subject.run_id}"):
        run = scene.client.get_run(subject.run_id)
    return split if run.data.tags.get(DIGEST_TAG) == digest else f"{split}-{digest[:8]}"


def flips_of(params: Mapping[str, str]) -> tuple[Flip, ...]:
    """The original image and its mirrored versions as in training; left to right if training used none.

    Other flips are not used, as the network was not trained on them.

    >>> flips_of({"fliplr": "0.5", "flipud": "0.0"})
    ((False, False), (True, False))
    """
    sideways, upright = (
        any(float(params.get(name, 0) or 0) > 0 for name in names)
        for names in (("fliplr", "hflip"), ("flipud", "vflip"))
    )
    if not sideways and not upright:
        sideways = True
    return tuple(
        (left_right, top_bottom)
        for top_bottom in dict.fromkeys((False, upright))
        for left_right in dict.fromkeys((False, sideways))
    )


def latency_ms(predictor: Predictor, pictures: Sequence[Picture], flips: Sequence[Flip]) -> float:
    """Median for one image, from decoding to result, over 32 images after a warm-up image."""
    ask: Callable[[Picture, Flip], object] = (
        (
            lambda picture, flip: list(
                predictor.boxes([picture], score=LEAST_SCORE, iou=IOU, most=MOST, flip=flip)
            )
        )
        if predictor.has_boxes
        else (lambda picture, flip: predictor.probabilities([picture], flip=flip))
    )
    times = []
    for picture in [*pictures[:1], *pictures[:_TIMED]]:
        started = time.perf_counter()
        for flip in flips:
            ask(picture, flip)
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times[1:]))


def some_pictures(dataset: Dataset, split: SplitName) -> list[Picture]:
    """The first images of a split, for timing."""
    if isinstance(dataset, ClassificationDataset):
        return list(dataset.splits[split].images[:_TIMED])
    return [picture.image for picture in dataset.splits[split][:_TIMED]]


def _headline(table: Boxes | ClassTable, classes: Sequence[str]) -> dict[str, float]:
    if isinstance(table, ClassTable):
        ece = calibration(table.truth, table.probabilities).ece
        return {**headline(table.truth, table.predicted, table.classes), "ECE": ece}
    figures = coco_figures(table, classes)
    return {"mAP50": figures.map50, "mAP50-95": figures.map50_95}
