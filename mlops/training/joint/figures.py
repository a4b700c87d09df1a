"""Both tasks' figures under our names, and the one by which epochs are ranked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mlops.training.joint.recipe import CLASSIFICATION, DETECTION

_OF_TASK = {  # what an epoch tells of each
    DETECTION: re.compile(r"\w+/(mAP50(-95)?|precision|recall|F1|AP50/.+|(box|cls|dfl|l1|detection)_loss)"),
    CLASSIFICATION: re.compile(r"\w+/(accuracy|macro_f1|F1/.+|classification_loss)"),
}


def f1_of(metrics: Mapping[str, float], split: str) -> dict[str, float]:
    """`<split>/F1` of the boxes, from mean precision and recall."""
    precision, recall = metrics[f"{split}/precision"], metrics[f"{split}/recall"]
    both = precision + recall
    return {f"{split}/F1": 2 * precision * recall / both if both else 0.0}


def fitness(map50_95: float, macro_f1: float, tasks: Sequence[str]) -> float:
    """The mean of mAP50-95 and macro F1, or the one whose task alone is trained.

    >>> fitness(0.4, 0.8, ("detection", "classification"))
    0.6000000000000001
    """
    of_task = {DETECTION: map50_95, CLASSIFICATION: macro_f1}
    return sum(of_task[task] for task in tasks) / len(tasks)


def of_tasks(metrics: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """`metrics` without what is said of a head that was not trained, which can only guess.

    >>> of_tasks({"val/mAP50": 0.4, "val/F1": 0.5, "val/F1/cold": 0.1, "lr/bias": 0.1}, ("detection",))
    {'val/mAP50': 0.4, 'val/F1': 0.5, 'lr/bias': 0.1}
    """
    idle = [pattern for task, pattern in _OF_TASK.items() if task not in tasks]
    return {name: value for name, value in metrics.items() if not any(p.fullmatch(name) for p in idle)}
