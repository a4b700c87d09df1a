"""Kinds of metrics (shares, losses, main metrics) and their names in a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import RunFacts

HEADLINES = (
    "val/mAP50",
    "val/mAP50-95",
    "val/precision",
    "val/recall",
    "val/F1",
    "val/macro_f1",
    "val/accuracy",
)
# the first of these that exists selects the best epoch
FITNESS = ("val/mAP50-95", "val/macro_f1", "val/mAP50", "val/accuracy")
_JOINT = ("val/mAP50-95", "val/macro_f1")
_WORDS = {"macro_f1": "macro F1", "macro_auc": "macro AUC", "macro_precision": "macro precision"}
_SHARES = {
    *("mAP50", "mAP50-95", "AP50", "AP50-95", "precision", "recall", "F1", "F2", "accuracy"),
    *("macro_f1", "macro_precision", "macro_recall", "macro_auc", "AUC", "ece"),
}
_PER_CLASS = ("val/AP50/", "val/F1/", "val/AP50-95/")


def is_loss(key: str) -> bool:
    return key.endswith("loss")


def is_share(key: str) -> bool:
    """Whether a metric is between 0 and 1 and higher is better."""
    return not is_loss(key) and any(part in _SHARES for part in key.split("/"))


def label(key: str) -> str:
    """A metric's readable name.

    >>> label("val/macro_f1"), label("train/box_loss"), label("val/mAP50")
    ('val macro F1', 'train box loss', 'val mAP50')
    """
    parts = [_WORDS.get(part, part.replace("_", " ")) for part in key.split("/")]
    return " ".join(parts)


def short(key: str) -> str:
    """The readable name without the split.

    >>> short("val/macro_f1")
    'macro F1'
    """
    return label(key.partition("/")[2] or key)


def headlines(run: RunFacts) -> tuple[str, ...]:
    """The run's validation metrics over all classes, in the order of a report."""
    return tuple(key for key in HEADLINES if key in run.curves)


def losses(run: RunFacts) -> tuple[str, ...]:
    """Training losses, then validation losses."""
    return tuple(key for split in ("train/", "val/") for key in run.names(split) if is_loss(key))


def fitness_key(run: RunFacts) -> str | None:
    """The metric that selects the best epoch, the first of two; None without validation."""
    return next(iter(fitness_keys(run)), None)


def fitness_keys(run: RunFacts) -> tuple[str, ...]:
    """The metrics whose mean selects the best epoch: two for a joint network, else one or ()."""
    there = tuple(key for key in FITNESS if key in run.curves)
    return _JOINT if set(_JOINT) <= set(there) else there[:1]


def fitness_label(run: RunFacts) -> str:
    """The readable name of these metrics, "" without any.

    >>> from types import SimpleNamespace as Run
    >>> fitness_label(Run(curves=("val/mAP50", "val/mAP50-95", "val/macro_f1")))
    'mean of val mAP50-95 and val macro F1'
    """
    keys = fitness_keys(run)
    return ("mean of " if len(keys) > 1 else "") + " and ".join(map(label, keys))


def per_class(run: RunFacts) -> tuple[str, dict[str, str]]:
    """The prefix of per-class metrics, and the metric name by class; "" and {} without any."""
    for prefix in _PER_CLASS:
        found = {key.removeprefix(prefix): key for key in run.names(prefix)}
        if found:
            return prefix, found
    return "", {}
