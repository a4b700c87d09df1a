"""A recipe in Ultralytics' words. Pure: what the library is told can be read and tested without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.systems.recipe import DetectionRecipe

# The library's own names for what a recipe calls the same.
_SAME_NAME = (
    "batch",
    "nbs",
    "epochs",
    "patience",
    "workers",
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
    weights: Path | None,
    data: Path,
    folder: Path,
    device: str,
    seed: int,
) -> dict[str, object]:
    """Every argument of a new training.

    `brightness`, `contrast`, `freeze_epochs` and `save_period` have no counterpart in the library: `loop`
    does them. The library starts the bias' learning rate at 0.1 in the warm-up, which suits SGD; for the
    others it starts at zero, as the library itself does where it chooses the optimizer. Workers act on
    CUDA: elsewhere the library loads in the training's own process, always.
    """
    return {
        **{name: getattr(recipe, name) for name in _SAME_NAME},
        "imgsz": recipe.image_size,
        "cache": _cached(recipe),
        "freeze": recipe.freeze_layers or None,
        "warmup_bias_lr": 0.0 if recipe.optimizer.lower() in _STEADY_START else 0.1,
        "model": model,
        "pretrained": str(weights) if weights is not None else False,
        "seed": seed,
        **_places(data, folder, device),
    }


def resume_arguments(
    recipe: DetectionRecipe, *, checkpoint: Path, data: Path, folder: Path, device: str
) -> dict[str, object]:
    """What may differ from the checkpoint's own arguments: the places, the device and the loading."""
    return {
        "resume": str(checkpoint),
        "model": str(checkpoint),
        "workers": recipe.workers,
        "cache": _cached(recipe),
        **_places(data, folder, device),
    }


def _cached(recipe: DetectionRecipe) -> object:
    return "ram" if recipe.cache == "ram" else False


def _places(data: Path, folder: Path, device: str) -> dict[str, object]:
    return {
        "task": "detect",
        "mode": "train",
        "data": str(data),
        "save_dir": str(folder),
        "device": device,
        "save_period": -1,
    }
