"""Measure both tasks on a split: every box, and the probabilities of every picture's class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.data.view import viewed
from mlops.evaluation.drawing.figures import draw_classifier
from mlops.evaluation.metrics.classification import held_out
from mlops.evaluation.samples.names import picture_names
from mlops.evaluation.samples.tables import PREDICTIONS, Answers, Header, write_answers
from mlops.training.detection import evaluate as boxes
from mlops.training.detection.boxes import KeepingValidator
from mlops.training.joint.answers import Answering, Gathered, ImageLabels, in_view
from mlops.training.joint.figures import f1_of
from mlops.training.joint.recipe import CLASSIFICATION, DETECTION, TASKS
from mlops.training.protocol import TestResult, TrainConfig

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset, SplitName
    from mlops.systems.recipe import DetectionRecipe


class AnsweringValidator(Answering, KeepingValidator):
    """Keeps every box and every answer."""


def evaluate(
    config: TrainConfig[DetectionRecipe],
    dataset: DetectionDataset,
    weights: Path,
    split: SplitName,
    tasks: Sequence[str] = TASKS,
) -> TestResult:
    """Metrics `<split>/...`, the plots, `boxes.parquet` and `predictions.parquet`: of `tasks`, both or one.

    The boxes' columns are a detector's, the predictions' a classifier's. `<split>/precision` and so on are of
    the boxes, `<split>/precision/<class>` of the pictures' classes. Raises DataFault for an empty split.
    """
    validators: list[AnsweringValidator] = []

    def make(**given: Any) -> AnsweringValidator:
        made = AnsweringValidator(**given)
        made.labels = ImageLabels.of(dataset)
        validators.append(made)
        return made

    found = boxes.evaluate(config, dataset, weights, split, make)
    found = replace(found, metrics={**found.metrics, **f1_of(found.metrics, split)})
    if CLASSIFICATION not in tasks:
        return found
    answers = _table(validators[0].answers, dataset, boxes.namer(dataset))
    classified = _classified(answers, dataset, split, config.out_dir / split)
    if DETECTION not in tasks:
        return classified
    return replace(
        found,
        metrics={**found.metrics, **classified.metrics},
        artifacts={**found.artifacts, **classified.artifacts},
    )


def _classified(answers: Answers, dataset: DetectionDataset, split: SplitName, folder: Path) -> TestResult:
    classes = dataset.image_classes
    scores = held_out(answers.truth, answers.probabilities, classes, answers.source.tolist())
    scores[f"{CLASSIFICATION}_loss"] = scores.pop("loss")
    drawn = draw_classifier(answers.truth, answers.probabilities, classes, folder / CLASSIFICATION)
    header = Header(dataset.identity.digest, split, classes, picture_names(dataset, split), "training")
    predictions = write_answers(folder / PREDICTIONS, answers, header)
    return TestResult(
        metrics={f"{split}/{name}": value for name, value in scores.items()},
        artifacts={**dict.fromkeys(drawn, f"{split}/{CLASSIFICATION}"), predictions: split},
    )


def _table(answers: Gathered, dataset: DetectionDataset, name_of: Callable[[str], str]) -> Answers:
    source_of = {path: picture.source for path, picture in viewed(dataset)}
    return Answers(
        image=np.array([name_of(file) for file in answers.files], dtype=str),
        source=np.array([source_of[in_view(file)] for file in answers.files], dtype=str),
        truth=answers.truth(),
        probabilities=answers.probabilities(),
        classes=dataset.image_classes,
    )
