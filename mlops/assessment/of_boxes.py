"""A detector measured on its table of boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.assessment.scene import Measured, Scene
from mlops.assessment.sheets import detection_sheets
from mlops.assessment.tables import boxes_of
from mlops.assessment.threshold import choose_threshold
from mlops.evaluation.drawing.gallery import box_examples
from mlops.evaluation.metrics.detection import as_metrics, detection_figures
from mlops.evaluation.samples.names import picture_names

if TYPE_CHECKING:
    from mlops.data.dataset import DetectionDataset


def measure_boxes(scene: Scene, dataset: DetectionDataset) -> Measured:
    """Raises DataFault for a picture that cannot be read."""
    from mlops.evaluation.drawing.draw_detection import draw_detector

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
    return Measured(
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
