"""The score from which a box counts: by a rule, on val where there is one, applied to what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.assessment.tables import boxes_of
from mlops.evaluation.metrics.detection import chosen_threshold
from mlops.evaluation.metrics.thresholds import read_rule
from mlops.evaluation.samples.names import picture_names

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.assessment.scene import Scene
    from mlops.data.dataset import DetectionDataset
    from mlops.evaluation.samples.boxes import Boxes

FALLBACK = 0.25  # what the library predicts with where nothing is said


@dataclass(frozen=True, slots=True)
class Chosen:
    """told: where it was chosen, in words. kept: the table of val, where it had to be made."""

    threshold: float
    rule: str
    told: str
    notes: tuple[str, ...] = ()
    kept: tuple[tuple[Path, str], ...] = ()


def choose_threshold(scene: Scene, dataset: DetectionDataset, boxes: Boxes) -> Chosen:
    """boxes: of the split that is measured, which is chosen on only where there is no val."""
    rule = scene.request.rule or read_rule("F2" if scene.medical else "F1")
    if rule.fixed is not None:
        return Chosen(rule.fixed, rule.says, "as it was given")
    split = scene.request.split
    kept: tuple[tuple[Path, str], ...] = ()
    if split != "val" and dataset.splits.get("val"):
        made = boxes_of(scene.source, dataset, "val", scene.held.place.replace(split, "val", 1))
        assert made.boxes is not None
        kept = (made.keep,) if made.keep is not None else ()
        names = picture_names(dataset, "val")
        found, told = chosen_threshold(rule, made.boxes, names), f"chosen on val ({len(names)} pictures)"
    else:
        found = chosen_threshold(rule, boxes, picture_names(dataset, split))
        told = f"chosen on {split} itself, so that the figures at it flatter"
    if found is None:
        note = f"no score on it satisfies the rule {rule.says}: {FALLBACK} is taken as the threshold"
        return Chosen(FALLBACK, rule.says, told, (note,), kept)
    return Chosen(found, rule.says, told, (), kept)
