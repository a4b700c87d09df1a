"""Evaluate a detector from its table of boxes, with the score threshold that a rule chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.drawing.example_choice import box_examples
from mlops.evaluation.context_values import EvaluationContext, Measurement
from mlops.evaluation.sample_sources import boxes_of
from mlops.evaluation.sheets import detection_sheets
from mlops.metrics.box_metrics import as_metrics, chosen_threshold, detection_figures
from mlops.metrics.samples.image_names import picture_names
from mlops.metrics.thresholds import read_rule

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.data.dataset import DetectionDataset
    from mlops.metrics.samples.boxes import Boxes


def measure_boxes(scene: EvaluationContext, dataset: DetectionDataset) -> Measurement:
    """Raises DataFault for an unreadable image."""
    from mlops.drawing.box_plots import draw_detector

    request = scene.request
    made = boxes_of(scene.source, dataset, request.split, scene.held.place)
    assert made.boxes is not None
    chosen = choose_threshold(scene, dataset, made.boxes)
    figures = detection_figures(
        made.boxes,
        picture_names(dataset, request.split),
        dataset.classes,
        chosen.threshold,
        with_froc=scene.medical if request.froc is None else request.froc,
    )
    return Measurement(
        table=made.boxes,
        classes=dataset.classes,
        metrics=as_metrics(figures),
        sheets=detection_sheets(figures),
        files=draw_detector(made.boxes, figures, dataset.classes, scene.folder),
        examples=box_examples(made.boxes, dataset.classes, chosen.threshold, request.examples),
        kept=[*([made.keep] if made.keep else []), *chosen.kept],
        predicted=made.keep is not None,
        notes=list(chosen.notes),
        threshold=chosen.threshold,
        threshold_rule=chosen.rule,
        threshold_from=chosen.told,
    )


FALLBACK = 0.25  # the library's default threshold


@dataclass(frozen=True, slots=True)
class Chosen:
    """told: how it was chosen. kept: the new table of val, if inference was needed."""

    threshold: float
    rule: str
    told: str
    notes: tuple[str, ...] = ()
    kept: tuple[tuple[Path, str], ...] = ()


def choose_threshold(scene: EvaluationContext, dataset: DetectionDataset, boxes: Boxes) -> Chosen:
    """boxes: of the evaluated split, which is used only if there is no val split."""
    rule = scene.request.rule or read_rule("F2" if scene.medical else "F1")
    if rule.fixed is not None:
        return Chosen(rule.fixed, rule.says, "as given")
    split = scene.request.split
    kept: tuple[tuple[Path, str], ...] = ()
    if split != "val" and dataset.splits.get("val"):
        made = boxes_of(scene.source, dataset, "val", scene.held.place.replace(split, "val", 1))
        assert made.boxes is not None
        kept = (made.keep,) if made.keep is not None else ()
        names = picture_names(dataset, "val")
        found, told = chosen_threshold(rule, made.boxes, names), f"chosen on val ({len(names)} images)"
    else:
        found = chosen_threshold(rule, boxes, picture_names(dataset, split))
        told = f"chosen on {split} itself, so these metrics are optimistic"
    if found is None:
        note = f"no threshold satisfies the rule {rule.says}; using {FALLBACK}"
        return Chosen(FALLBACK, rule.says, told, (note,), kept)
    return Chosen(found, rule.says, told, (), kept)
