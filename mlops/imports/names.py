"""Metric names of other tools, in ours.

Ours are the ones that a training of this product records: `train/...`, `val/...`, `test/...`, `lr/...`. A
name that has such a beginning stays as it is.
"""

from __future__ import annotations

import re

OURS = ("train/", "val/", "test/", "lr/", "time/", "balance/")

# Ultralytics and YOLOv5: columns of results.csv
_OF_FIGURES = {"mAP_0.5": "mAP50", "mAP_0.5:0.95": "mAP50-95", "accuracy_top1": "accuracy"}
_HEADS = {"": "", "B": "", "M": "mask_", "P": "pose_"}
_FIGURE = re.compile(r"metrics/(?P<figure>[^()]+?)(?:\((?P<head>[BMP])\))?")
_OLD_RATE = re.compile(r"x/lr(\d+)")

# Keras, Lightning, loops of one's own: a split, then a figure
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SPLIT = re.compile(
    r"(?P<split>train|training|val|valid|validation|test)[_/ .-](?P<figure>.+)", re.IGNORECASE
)
_RATE = re.compile(r"(?:lr|learning_?rate)(?:[-_/](?P<group>.+))?", re.IGNORECASE)
_FIGURES = {
    "acc": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "f1": "macro_f1",
    "f1_macro": "macro_f1",
    "macro-f1": "macro_f1",
    "f1_score": "macro_f1",
    "map": "mAP50-95",
    "map50": "mAP50",
    "map_50": "mAP50",
    "map_0.5": "mAP50",
    "map50-95": "mAP50-95",
    "map50_95": "mAP50-95",
    "map_0.5:0.95": "mAP50-95",
}
_CLASS_FIGURES = {
    "f1": "F1",
    "f1_per_class": "F1",
    "per_class_f1": "F1",
    "ap50": "AP50",
    "ap50_per_class": "AP50",
    "per_class_ap50": "AP50",
}


def of_ultralytics(column: str) -> str:
    """A column of `results.csv`. Learning rates keep the library's numbers of the groups: which group is
    which differs between its versions.

    >>> [of_ultralytics(c) for c in ("metrics/mAP50(B)", "metrics/mAP_0.5:0.95", "x/lr0", "train/box_loss")]
    ['val/mAP50', 'val/mAP50-95', 'lr/pg0', 'train/box_loss']
    """
    if column.startswith(OURS):
        return column
    if match := _FIGURE.fullmatch(column):
        figure = match["figure"]
        return f"val/{_HEADS[match['head'] or '']}{_OF_FIGURES.get(figure, figure)}"
    if match := _OLD_RATE.fullmatch(column):
        return f"lr/pg{match[1]}"
    return of_history(column)


def of_history(name: str) -> str:
    """A name in a `history.json`. Without a split it is training's, as Keras has it.

    >>> [of_history(n) for n in ("loss", "val_acc", "valid/f1", "learning_rate", "lr-AdamW/pg1")]
    ['train/loss', 'val/accuracy', 'val/macro_f1', 'lr/all', 'lr/AdamW/pg1']
    """
    if match := _RATE.fullmatch(name):
        return f"lr/{match['group'] or 'all'}"
    if match := _SPLIT.fullmatch(name):
        return f"{_SPLITS[match['split'].lower()]}/{_figure(match['figure'])}"
    return name if name.startswith(OURS) else f"train/{_figure(name)}"


def _figure(name: str) -> str:
    head, slash, class_name = name.partition("/")
    if slash:
        return f"{_CLASS_FIGURES.get(head.lower(), head)}/{class_name}"
    return _FIGURES.get(head.removesuffix("_epoch").lower(), head.removesuffix("_epoch"))
