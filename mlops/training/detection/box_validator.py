"""Evaluate a detector on a split with Ultralytics' validator, and keep every box.

The boxes are stored as a table as defined in `mlops.metrics.samples.sample_tables`, sufficient to recompute
AP or to compare two models image by image.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.utils import ops
from ultralytics.utils.metrics import box_iou

from mlops.data.ultralytics_view import original_of, yolo_view
from mlops.errors import DataFault
from mlops.files.locks import locked_folder
from mlops.metrics.box_ap import coco_figures
from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.samples.image_names import below, picture_names, shared_folder
from mlops.metrics.samples.sample_tables import BOXES, Header, write_boxes
from mlops.training.detection.arguments import average_precision, detection_metrics
from mlops.training.detection.network_file import read_network
from mlops.training.detection.resume import as_safetensors, kept_files
from mlops.training.detection.ultralytics_internals import MatchingValidator
from mlops.training.device import library_device
from mlops.training.failures import named
from mlops.training.protocol import TestResult, TrainConfig
from mlops.training.threads import loading_processes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import DetectionDataset, SplitName
    from mlops.systems.recipe import DetectionRecipe


@dataclass(slots=True)
class BoxTable:
    """Rows collected image by image. `name_of` converts the library's path of an image to the stored name."""

    name_of: Callable[[str], str]
    columns: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: [] for name in ("image", "kind", "class_index", "score", "box", "iou", "matched")
        }
    )

    def add(
        self,
        file: str,
        kind: str,
        classes: Any,
        boxes: Any,
        scores: Any = None,
        ious: Any = None,
        matched: Any = None,
    ) -> None:
        """Add the boxes of one image: classes (N,), boxes (N, 4) in pixels, the others (N,) or None."""
        count = len(classes)
        missing = [None] * count
        added = {
            "image": [self.name_of(file)] * count,
            "kind": [kind] * count,
            "class_index": np.asarray(classes).astype(int).tolist(),
            "score": missing if scores is None else np.asarray(scores).tolist(),
            "box": np.asarray(boxes).reshape(-1, 4).tolist(),
            "iou": missing if ious is None else np.asarray(ious).tolist(),
            "matched": missing if matched is None else np.asarray(matched).tolist(),
        }
        for name, values in added.items():
            self.columns[name].extend(values)

    def boxes(self) -> Boxes:
        held = self.columns
        truth = np.array([kind == "truth" for kind in held["kind"]], np.bool_)
        return Boxes(
            image=np.array(held["image"], dtype=str),
            truth=truth,
            class_index=np.array(held["class_index"], np.int64),
            score=_floats(held["score"]),
            corners=np.asarray(held["box"], np.float32).reshape(-1, 4).astype(np.float64),
            matched=np.array([bool(each) for each in held["matched"]], np.bool_),
        )

    def ious(self) -> NDArray[np.float64]:
        """The IoU of each prediction with an annotated box of its class; NaN for an annotated box."""
        return _floats(self.columns["iou"])


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


class KeepingValidator(MatchingValidator):
    """The library's validator; adds the boxes that it matches to `table`."""

    def __init__(self, *, save_dir: Path, args: dict[str, Any], table: BoxTable) -> None:
        super().__init__(save_dir=save_dir, args=args)
        self.table = table

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        with locked_folder(Path(self.args.data).parent):
            return super().build_dataset(img_path, mode, batch)

    def image_matched(self, preds: dict[str, Any], batch: dict[str, Any], result: dict[str, Any]) -> None:
        file = batch["im_file"]
        self.table.add(file, "truth", batch["cls"].cpu(), self._on_picture(batch["bboxes"], batch))
        self.table.add(
            file,
            "prediction",
            preds["cls"].cpu(),
            self._on_picture(preds["bboxes"], batch),
            preds["conf"].float().cpu(),
            _best_iou(preds, batch),
            result["tp"][:, 0],
        )

    @staticmethod
    def _on_picture(boxes: Any, batch: dict[str, Any]) -> Any:
        if not len(boxes):
            return np.zeros((0, 4), dtype=np.float32)
        scaled = ops.scale_boxes(
            batch["imgsz"], boxes.float().clone(), batch["ori_shape"], ratio_pad=batch["ratio_pad"]
        )
        return scaled.cpu().numpy()


def _best_iou(preds: dict[str, Any], batch: dict[str, Any]) -> Any:
    if not len(preds["cls"]) or not len(batch["cls"]):
        return np.zeros(len(preds["cls"]), dtype=np.float32)
    same_class = batch["cls"][:, None] == preds["cls"]
    return (box_iou(batch["bboxes"], preds["bboxes"]) * same_class).max(0).values.cpu().numpy()


def evaluate(
    config: TrainConfig[DetectionRecipe],
    dataset: DetectionDataset,
    weights: Path,
    split: SplitName,
    make: Callable[..., KeepingValidator] = KeepingValidator,
) -> TestResult:
    """Compute metrics `<split>/...`, plots for the artifact folder `<split>`, and a parquet of boxes.

    Predictions are the library's: boxes with a score of at least 0.001 after NMS at IoU 0.7, at most 300 per
    image. make: creates the validator. Raises DataFault for a split without images.
    """
    if not dataset.splits.get(split):
        raise DataFault(f"{dataset.identity.path} has no images in its {split} split to evaluate on")
    folder = config.out_dir / split
    shutil.rmtree(folder, ignore_errors=True)
    names = picture_names(dataset, split)
    with named(config.out_dir):
        validator = make(
            save_dir=folder, args=_arguments(config, dataset, split), table=BoxTable(namer(dataset))
        )
        validator(model=read_network(as_safetensors(weights)).network)
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
    """As the validation in training with twice the batch, but with the square input of the exported model:
    the rectangles of training's validation have other padding, which changes scores.
    """
    return {
        "task": "detect",
        "mode": "val",
        "data": str(yolo_view(dataset, config.shared) / "data.yaml"),
        "split": split,
        "imgsz": config.recipe.image_size,
        "batch": config.recipe.batch * 2,
        "workers": loading_processes(config.recipe.workers),
        "device": library_device(config.device),
        "rect": False,
        "plots": True,
    }


def namer(dataset: DetectionDataset) -> Callable[[str], str]:
    """A function from the path of an image in the view to its path below the data set's folder."""
    top = shared_folder(dataset)
    return lambda viewed: below(original_of(Path(viewed)), top)
