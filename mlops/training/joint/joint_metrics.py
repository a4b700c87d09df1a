"""Metrics of both tasks on a split, under our names, and the fitness of an epoch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.models.yolo.detect import DetectionValidator

from mlops.data.ultralytics_view import viewed
from mlops.drawing.plots import draw_classifier
from mlops.metrics.class_metrics import headline, held_out
from mlops.metrics.samples.image_names import picture_names
from mlops.metrics.samples.sample_tables import PREDICTIONS, ClassTable, Header, write_answers
from mlops.training.detection import box_validator as boxes
from mlops.training.detection.box_validator import KeepingValidator
from mlops.training.joint.image_classes import Answering, Gathered, ImageLabels, in_view
from mlops.training.joint.joint_recipe import CLASSIFICATION, DETECTION, TASKS
from mlops.training.protocol import TestResult, TrainConfig

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset, SplitName
    from mlops.systems.recipe import DetectionRecipe


class AnsweringValidator(Answering, KeepingValidator):
    """Keeps every box and every class prediction."""


def evaluate(
    config: TrainConfig[DetectionRecipe],
    dataset: DetectionDataset,
    weights: Path,
    split: SplitName,
    tasks: Sequence[str] = TASKS,
) -> TestResult:
    """Metrics `<split>/...`, plots, `boxes.parquet` and `predictions.parquet` of `tasks` (both or one).

    Columns are those of a detector and a classifier. `<split>/precision` and so on are for boxes,
    `<split>/precision/<class>` for image classes. Raises DataFault for an empty split.
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


def _classified(answers: ClassTable, dataset: DetectionDataset, split: SplitName, folder: Path) -> TestResult:
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


def _table(answers: Gathered, dataset: DetectionDataset, name_of: Callable[[str], str]) -> ClassTable:
    source_of = {path: picture.source for path, picture in viewed(dataset)}
    return ClassTable(
        image=np.array([name_of(file) for file in answers.files], dtype=str),
        source=np.array([source_of[in_view(file)] for file in answers.files], dtype=str),
        truth=answers.truth(),
        probabilities=answers.probabilities(),
        classes=dataset.image_classes,
    )


_OF_TASK = {  # the metrics of each in an epoch
    DETECTION: re.compile(r"\w+/(mAP50(-95)?|precision|recall|F1|AP50/.+|(box|cls|dfl|l1|detection)_loss)"),
    CLASSIFICATION: re.compile(r"\w+/(accuracy|macro_f1|F1/.+|classification_loss)"),
}


def f1_of(metrics: Mapping[str, float], split: str) -> dict[str, float]:
    """`<split>/F1` of the boxes, from mean precision and recall."""
    precision, recall = metrics[f"{split}/precision"], metrics[f"{split}/recall"]
    both = precision + recall
    return {f"{split}/F1": 2 * precision * recall / both if both else 0.0}


def fitness(map50_95: float, macro_f1: float, tasks: Sequence[str]) -> float:
    """The mean of mAP50-95 and macro F1, or the one of the only trained task.

    >>> fitness(0.4, 0.8, ("detection", "classification"))
    0.6000000000000001
    """
    of_task = {DETECTION: map50_95, CLASSIFICATION: macro_f1}
    return sum(of_task[task] for task in tasks) / len(tasks)


def of_tasks(metrics: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """`metrics` without those of an untrained head, which are meaningless.

    >>> of_tasks({"val/mAP50": 0.4, "val/F1": 0.5, "val/F1/cold": 0.1, "lr/bias": 0.1}, ("detection",))
    {'val/mAP50': 0.4, 'val/F1': 0.5, 'lr/bias': 0.1}
    """
    idle = [pattern for task, pattern in _OF_TASK.items() if task not in tasks]
    return {name: value for name, value in metrics.items() if not any(p.fullmatch(name) for p in idle)}


class JointValidator(Answering, DetectionValidator):  # type: ignore[misc]
    """The library's validator; adds accuracy and macro F1, and ranks epochs by both tasks."""

    def __init__(
        self,
        dataloader: Any,
        *,
        save_dir: Any,
        args: Any,
        callbacks: Any,
        labels: ImageLabels,
        image_classes: Sequence[str],
        tasks: Sequence[str],
    ) -> None:
        super().__init__(dataloader, save_dir=save_dir, args=args, _callbacks=callbacks)
        self.labels, self.image_classes, self.tasks = labels, image_classes, tasks
        self.classified: dict[str, float] = {}

    def get_stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = super().get_stats()
        said = self.answers.probabilities().argmax(1)
        self.classified = headline(self.answers.truth(), said, self.image_classes, per_class=True)
        accuracy, macro_f1 = self.classified["accuracy"], self.classified["macro_f1"]
        ranked = fitness(float(self.metrics.box.map), macro_f1, self.tasks)
        return {**stats, "metrics/accuracy": accuracy, "metrics/macro_f1": macro_f1, "fitness": ranked}
