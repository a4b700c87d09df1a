"""Every predicted and every annotated box of an evaluation, one row each.

| column | |
|---|---|
| image | path below the data set's folder |
| kind | `prediction` or `truth` |
| class, class_index | |
| score | of a prediction; null for a truth |
| x1, y1, x2, y2 | pixels of the picture as it lies on disk |
| iou | a prediction's largest IoU with a truth of its class, 0 without one; null for a truth |
| matched | a prediction that the library counts as true at IoU 0.5; null for a truth |

With both kinds the file is enough to compute AP again, or to compare two models picture by picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils import ops
from ultralytics.utils.metrics import box_iou

from mlops.data.alone import alone_in


@dataclass(slots=True)
class BoxTable:
    """Rows gathered picture by picture. `name_of` turns the library's path of a picture into the one to
    keep.
    """

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
        """Add the boxes of one picture: classes (N,), boxes (N, 4) in pixels, the others (N,) or None."""
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

    def write(self, file: Path, class_names: Sequence[str]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        held = self.columns
        corners = np.asarray(held["box"], dtype=np.float32).reshape(-1, 4)
        table = pa.table(
            {
                "image": pa.array(held["image"], pa.string()),
                "kind": pa.array(held["kind"], pa.string()),
                "class": pa.array([class_names[index] for index in held["class_index"]], pa.string()),
                "class_index": pa.array(held["class_index"], pa.int32()),
                "score": pa.array(held["score"], pa.float32()),
                **{name: pa.array(corners[:, i]) for i, name in enumerate(("x1", "y1", "x2", "y2"))},
                "iou": pa.array(held["iou"], pa.float32()),
                "matched": pa.array(held["matched"], pa.bool_()),
            }
        )
        pq.write_table(table, file)
        return file


class KeepingValidator(DetectionValidator):  # type: ignore[misc]
    """The library's validator; fills `table` with what it matches."""

    def __init__(self, *, save_dir: Path, args: dict[str, Any], table: BoxTable) -> None:
        super().__init__(save_dir=save_dir, args=args)
        self.table = table

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        with alone_in(Path(self.args.data).parent):
            return super().build_dataset(img_path, mode, batch)

    def _process_batch(self, preds: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Called once a picture with its predictions and truths, in pixels of the letterboxed picture."""
        result: dict[str, Any] = super()._process_batch(preds, batch)
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
        return result

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
