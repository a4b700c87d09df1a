"""The per-sample tables: read from the run, or created by inference with its ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlops.data.dataset import ClassificationDataset, DetectionDataset
from mlops.errors import DataFault
from mlops.evaluation.tracked import FOLDER, find_table, names_in
from mlops.files.digests import sha256_of
from mlops.metrics.samples.boxes import pair_up
from mlops.metrics.samples.image_names import picture_names
from mlops.metrics.samples.sample_tables import (
    BOXES,
    PREDICTIONS,
    ClassTable,
    Header,
    read_answers,
    read_boxes,
    write_answers,
    write_boxes,
)
from mlops.prediction.split_predictions import ask_answers, ask_boxes

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops.data.dataset import Dataset, SplitName
    from mlops.metrics.samples.boxes import Boxes
    from mlops.prediction.onnx_model import Predictor


@dataclass(frozen=True, slots=True)
class SampleSource:
    """An opened version: its run with tables, and its predictor for inference.

    again: run inference even if a table exists. scratch: a temporary folder.
    """

    client: MlflowClient
    run_id: str
    onnx: Path
    predictor: Predictor
    again: bool
    scratch: Path


@dataclass(frozen=True, slots=True)
class Made:
    """A table, and where to log it: (file, folder on the run); None for an existing table."""

    boxes: Boxes | None = None
    answers: ClassTable | None = None
    keep: tuple[Path, str] | None = None


def boxes_of(source: SampleSource, dataset: DetectionDataset, split: SplitName, place: str) -> Made:
    """Raises DataFault for an unreadable image."""
    names = picture_names(dataset, split)

    def fits(table: Boxes, header: Header | None) -> bool:
        if header is not None:
            return header.digest == dataset.identity.digest and header.split == split
        return _truths(table) == _annotated(dataset, split, names)

    folder = _scratch(source, place)
    if not source.again:
        found = find_table(source.client, source.run_id, place, BOXES, read_boxes, fits, folder)
        if found is not None:
            return Made(boxes=found)
    try:
        boxes = ask_boxes(source.predictor, dataset, split)
    except ValueError as error:
        raise DataFault(str(error)) from error
    header = _header(source, dataset, split, names, dataset.classes)
    file = write_boxes(folder / BOXES, boxes, pair_up(boxes).iou, header)
    return Made(boxes=read_boxes(file)[0], keep=(file, _where(source, place, BOXES)))


def answers_of(source: SampleSource, dataset: Dataset, split: SplitName, place: str) -> Made:
    """Raises DataFault for an unreadable image."""
    names = picture_names(dataset, split)

    def fits(table: ClassTable, header: Header | None) -> bool:
        if header is not None:
            return header.digest == dataset.identity.digest and header.split == split
        return _answered(table) == _labelled(dataset, split, names)

    folder = _scratch(source, place)
    if not source.again:
        found = find_table(source.client, source.run_id, place, PREDICTIONS, read_answers, fits, folder)
        if found is not None:
            return Made(answers=found)
    try:
        answers = ask_answers(source.predictor, dataset, split)
    except ValueError as error:
        raise DataFault(str(error)) from error
    header = _header(source, dataset, split, names, answers.classes)
    file = write_answers(folder / PREDICTIONS, answers, header)
    return Made(answers=answers, keep=(file, _where(source, place, PREDICTIONS)))


def _header(
    source: SampleSource, dataset: Dataset, split: str, names: tuple[str, ...], classes: tuple[str, ...]
) -> Header:
    return Header(dataset.identity.digest, split, classes, names, made_by=sha256_of(source.onnx))


def _where(source: SampleSource, place: str, file: str) -> str:
    """The split's folder; another one if it has the table of training, as releases were judged by it."""
    taken = f"{place}/{file}" in names_in(source.client, source.run_id, place)
    return f"{FOLDER}/{place}" if taken else place


def _scratch(source: SampleSource, place: str) -> Path:
    folder = source.scratch / "tables" / source.run_id / place
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _truths(table: Boxes) -> list[tuple[str, int]]:
    names, classes = table.image[table.truth].tolist(), table.class_index[table.truth].tolist()
    return sorted(zip(names, classes, strict=True))


def _annotated(dataset: DetectionDataset, split: SplitName, names: tuple[str, ...]) -> list[tuple[str, int]]:
    pictures = zip(names, dataset.splits[split], strict=True)
    return sorted((name, box.class_index) for name, picture in pictures for box in picture.boxes)


def _answered(table: ClassTable) -> list[tuple[str, int]]:
    return sorted(zip(table.image.tolist(), table.truth.tolist(), strict=True))


def _labelled(dataset: Dataset, split: SplitName, names: tuple[str, ...]) -> list[tuple[str, int]]:
    if isinstance(dataset, ClassificationDataset):
        labels = np.asarray(dataset.splits[split].labels).tolist()
    else:
        labels = [picture.image_class for picture in dataset.splits[split]]
    return sorted(pair for pair in zip(names, labels, strict=True) if pair[1] >= 0)
