"""Measure both tasks on a split: every box, and the probabilities of every picture's class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.evaluation.classification import held_out
from mlops.evaluation.figures import draw_classifier
from mlops.training.detection import evaluate as boxes
from mlops.training.detection.boxes import KeepingValidator
from mlops.training.joint.answers import Answering, Answers, ImageLabels
from mlops.training.joint.figures import f1_of
from mlops.training.joint.recipe import CLASSIFICATION
from mlops.training.protocol import TestResult, TrainConfig

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset, SplitName
    from mlops.systems.recipe import DetectionRecipe


class AnsweringValidator(Answering, KeepingValidator):
    """Keeps every box and every answer."""


def evaluate(
    config: TrainConfig[DetectionRecipe], dataset: DetectionDataset, weights: Path, split: SplitName
) -> TestResult:
    """Metrics `<split>/...` of both tasks, the plots of both, `boxes.parquet` and `predictions.parquet`.

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
    answers, folder = validators[0].answers, config.out_dir / split
    truth, given = answers.truth(), answers.probabilities()
    scores = held_out(truth, given, dataset.image_classes)
    scores[f"{CLASSIFICATION}_loss"] = scores.pop("loss")
    drawn = draw_classifier(truth, given, dataset.image_classes, folder / CLASSIFICATION)
    predictions = _write(answers, dataset, boxes.namer(dataset), folder / "predictions.parquet")
    pictures = dict.fromkeys(drawn, f"{split}/{CLASSIFICATION}")
    return replace(
        found,
        metrics={
            **found.metrics,
            **f1_of(found.metrics, split),
            **{f"{split}/{name}": value for name, value in scores.items()},
        },
        artifacts={
            **found.artifacts,
            **pictures,
            predictions: split,
        },
    )


def _write(answers: Answers, dataset: DetectionDataset, name_of: Any, file: Path) -> Path:
    """One row a picture, the columns as `mlops.training.classification.evaluate` writes them."""
    given, classes = answers.probabilities(), dataset.image_classes
    sources = {path: picture.source for path, picture in _viewed(dataset).items()}
    table = pd.DataFrame(
        {
            "image": [name_of(viewed) for viewed in answers.files],
            "source": [sources["/".join(Path(each).parts[-3:])] for each in answers.files],
            "label": [classes[index] for index in answers.truth()],
            "predicted": [classes[index] for index in given.argmax(1)],
            **{f"p/{name}": given[:, index] for index, name in enumerate(classes)},
        }
    )
    table.to_parquet(file, index=False)
    return file


def _viewed(dataset: DetectionDataset) -> dict[str, Any]:
    from mlops.data.view import viewed

    return dict(viewed(dataset))
