"""From the library's figures to our metric names. Pure functions over plain values."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops.evaluation.metrics.coco import CocoFigures


def losses(split: str, items: Mapping[str, Any]) -> dict[str, float]:
    """`train/box_loss` and so on; the third is `dfl_loss` or, on YOLO26, `l1_loss`, as the library names
    it.
    """
    return {f"{split}/{name.rpartition('/')[2]}": float(value) for name, value in items.items()}


def detection_metrics(
    split: str, box: Any, classes: Mapping[int, str], *, strict: bool = False
) -> dict[str, float]:
    """Precision, recall and AP of Ultralytics' `Metric`, over all classes and per class.

    A class without an object in the split has no AP and gets no metric (the library fills in the mean).
    `strict` adds AP50-95 per class.
    """
    metrics = {
        f"{split}/precision": float(box.mp),
        f"{split}/recall": float(box.mr),
        f"{split}/mAP50": float(box.map50),
        f"{split}/mAP50-95": float(box.map),
    }
    for row, index in enumerate(box.ap_class_index):
        name = classes[int(index)]
        metrics[f"{split}/AP50/{name}"] = float(box.ap50[row])
        if strict:
            metrics[f"{split}/AP50-95/{name}"] = float(box.ap[row])
    return metrics


def average_precision(split: str, figures: CocoFigures) -> dict[str, float]:
    """AP of a table of boxes under the names of `detection_metrics`."""
    metrics = {f"{split}/mAP50": figures.map50, f"{split}/mAP50-95": figures.map50_95}
    for name, own in figures.by_class.items():
        metrics |= {f"{split}/AP50/{name}": own.ap50, f"{split}/AP50-95/{name}": own.ap}
    return metrics


def learning_rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """`lr/weight`, `lr/bn`, `lr/bias` and, under MuSGD, `lr/muon`.

    MuSGD splits each group in two and trains the classification head of a fine-tuning at a higher rate:
    that half is `lr/<group>_head`.
    """
    used = [group for group in groups if len(group["params"])]
    count = Counter(_group_name(group, i) for i, group in enumerate(used))
    rates: dict[str, float] = {}
    for i, group in enumerate(used):
        name = _group_name(group, i)
        first_of_two = count[name] > 1 and f"lr/{name}_head" not in rates
        rates[f"lr/{name}_head" if first_of_two else f"lr/{name}"] = float(group["lr"])
    return rates


def _group_name(group: Mapping[str, Any], index: int) -> str:
    return str(group.get("param_group") or f"pg{index}")


def not_finite(metrics: Mapping[str, float], prefix: str) -> list[str]:
    """Names under `prefix` whose value is NaN or infinite."""
    return [name for name, value in metrics.items() if name.startswith(prefix) and not math.isfinite(value)]


def finite_or_nan(metrics: Mapping[str, float]) -> dict[str, float]:
    """Infinite values as NaN: a validation in half precision may overflow where the training is sound."""
    return {name: value if math.isfinite(value) else math.nan for name, value in metrics.items()}
