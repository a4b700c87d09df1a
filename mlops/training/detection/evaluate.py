"""Measure a detector on a split, by the library's validator, and keep every box that it looked at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.data.view import original_of, yolo_view
from mlops.errors import DataFault
from mlops.evaluation.metrics.coco import coco_figures
from mlops.evaluation.samples.names import below, picture_names, shared_folder
from mlops.evaluation.samples.tables import BOXES, Header, write_boxes
from mlops.training.detection.boxes import BoxTable, KeepingValidator
from mlops.training.detection.device import library_device
from mlops.training.detection.files import kept_files
from mlops.training.detection.reports import average_precision, detection_metrics
from mlops.training.failures import named
from mlops.training.protocol import TestResult, TrainConfig

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset, SplitName
    from mlops.systems.recipe import DetectionRecipe


def evaluate(
    config: TrainConfig[DetectionRecipe],
    dataset: DetectionDataset,
    weights: Path,
    split: SplitName,
    make: Callable[..., KeepingValidator] = KeepingValidator,
) -> TestResult:
    """Metrics `<split>/...`, plots in the artifact folder `<split>`, and a parquet of boxes (see `boxes`).

    Predictions are the library's: boxes of at least 0.001 score after its NMS at IoU 0.7, 300 a picture at
    most. make: of which kind the validator is. Raises DataFault for a split without pictures.
    """
    if not dataset.splits.get(split):
        raise DataFault(f"{dataset.identity.path} has no pictures in its {split} split to measure on")
    folder = config.out_dir / split
    shutil.rmtree(folder, ignore_errors=True)
    names = picture_names(dataset, split)
    with named(config.out_dir):
        validator = make(
            save_dir=folder, args=_arguments(config, dataset, split), table=BoxTable(namer(dataset))
        )
        validator(model=str(weights))
        artifacts = kept_files(folder, split)
    boxes = validator.table.boxes()
    header = Header(dataset.identity.digest, split, dataset.classes, names, made_by="training")
    per_sample = write_boxes(folder / BOXES, boxes, validator.table.ious(), header)
    classes = dict(enumerate(dataset.classes))
    return TestResult(
        metrics={
            **detection_metrics(split, validator.metrics.box, classes, strict=True),
            **average_precision(split, coco_figures(boxes, dataset.classes)),
        },
        artifacts=artifacts,
        per_sample=per_sample,
    )


def _arguments(
    config: TrainConfig[DetectionRecipe], dataset: DetectionDataset, split: SplitName
) -> dict[str, Any]:
    """As the validation in training with twice the batch, but on the square that is served: the rectangles of
    training's validation pad a picture otherwise, and each box's score with it.
    """
    return {
        "task": "detect",
        "mode": "val",
        "data": str(yolo_view(dataset, config.shared) / "data.yaml"),
        "split": split,
        "imgsz": config.recipe.image_size,
        "batch": config.recipe.batch * 2,
        "workers": config.recipe.workers,
        "device": library_device(config.device),
        "rect": False,
        "plots": True,
    }


def namer(dataset: DetectionDataset) -> Callable[[str], str]:
    """From a picture of the view to its path below the data set's own folder."""
    top = shared_folder(dataset)
    return lambda viewed: below(original_of(Path(viewed)), top)
