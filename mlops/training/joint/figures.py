"""Both tasks' figures under our names, and the one by which epochs are ranked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlops.training.joint.recipe import CLASSIFICATION, DETECTION


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
