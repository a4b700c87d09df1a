"""Convert a recipe to Ultralytics' arguments, and its metrics to our names. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from mlops.training.weights import wants_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlops.metrics.box_ap import CocoFigures
    from mlops.systems.recipe import DetectionRecipe

# Recipe keys that are also arguments of the library.
_SAME_NAME = (
    "batch",
    "nbs",
    "epochs",
    "patience",
    "amp",
    "optimizer",
    "lr0",
    "lrf",
    "cos_lr",
    "momentum",
    "weight_decay",
    "warmup_epochs",
    "box",
    "cls",
    "dfl",
    "cls_pw",
    "mosaic",
    "close_mosaic",
    "mixup",
    "copy_paste",
    "degrees",
    "translate",
    "scale",
    "shear",
    "perspective",
    "flipud",
    "fliplr",
    "hsv_h",
    "hsv_s",
    "hsv_v",
)
_STEADY_START = {"adam", "adamw", "nadam", "radam", "rmsprop", "musgd", "auto"}


def training_arguments(
    recipe: DetectionRecipe,
    *,
    model: str,
    data: Path,
    folder: Path,
    device: str,
    seed: int,
    workers: int,
    cache: Literal["ram", False],
) -> dict[str, object]:
    """Every argument of a new training.

    `brightness`, `contrast`, `freeze_epochs` and `save_period` have no counterpart in the library; the loop
    implements them. The library starts the learning rate of biases at 0.1 in the warm-up, which suits SGD;
    for other optimizers it starts at zero, as in the library's automatic choice. Workers have an effect only
    with CUDA: otherwise the library loads in the training process.
    """
    return {
        **{name: getattr(recipe, name) for name in _SAME_NAME},
        "imgsz": recipe.image_size,
        "cache": cache,
        "freeze": recipe.freeze_layers or None,
        "warmup_bias_lr": 0.0 if recipe.optimizer.lower() in _STEADY_START else 0.1,
        "model": model,
        "pretrained": False if wants_none(recipe.weights) else recipe.weights,  # for the record: not opened
        "seed": seed,
        "workers": workers,
        **_places(data, folder, device),
    }


def _places(data: Path, folder: Path, device: str) -> dict[str, object]:
    return {
        "task": "detect",
        "mode": "train",
        "data": str(data),
        "save_dir": str(folder),
        "device": device,
        "save_period": -1,
    }


def losses(split: str, items: Mapping[str, Any]) -> dict[str, float]:
    """`train/box_loss` and so on; the third is `dfl_loss` or, for YOLO26, `l1_loss`, as in the library."""
    return {f"{split}/{name.rpartition('/')[2]}": float(value) for name, value in items.items()}


def detection_metrics(
    split: str, box: Any, classes: Mapping[int, str], *, strict: bool = False
) -> dict[str, float]:
    """Precision, recall and AP of Ultralytics' `Metric`, over all classes and per class.

    A class without objects in the split has no AP and no metric (the library would use the mean).
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
    """AP of a table of boxes, with the names of `detection_metrics`."""
    metrics = {f"{split}/mAP50": figures.map50, f"{split}/mAP50-95": figures.map50_95}
    for name, own in figures.by_class.items():
        metrics |= {f"{split}/AP50/{name}": own.ap50, f"{split}/AP50-95/{name}": own.ap}
    return metrics


def learning_rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """`lr/weight`, `lr/bn`, `lr/bias` and, under MuSGD, `lr/muon`.

    MuSGD divides each group in two and trains the classification head of a fine-tuning at a higher rate,
    which is `lr/<group>_head`.
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
    """Replace infinite values by NaN: a validation in half precision may overflow in a valid training."""
    return {name: value if math.isfinite(value) else math.nan for name, value in metrics.items()}
