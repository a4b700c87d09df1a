"""Evaluate a classifier from its table of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.drawing.example_choice import answer_examples
from mlops.errors import DataFault
from mlops.evaluation.context_values import EvaluationContext, Measurement
from mlops.evaluation.sample_sources import answers_of
from mlops.evaluation.sheets import class_sheets
from mlops.evaluation.tracked import value_at_best

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.metrics.class_metrics import ClassFigures, SplitGap


def measure_answers(scene: EvaluationContext, folder: Path, *, joint: bool) -> Measurement:
    """folder: for the plots. joint: the data also have boxes, so the loss is named `classification_loss`.

    Raises DataFault for an unreadable image, or if no image is labelled.
    """
    from mlops.drawing.class_plots import draw_answers
    from mlops.metrics.class_metrics import as_metrics, class_figures

    request = scene.request
    made = answers_of(scene.source, scene.held.dataset, request.split, scene.held.place)
    answers = made.answers
    assert answers is not None
    if not len(answers.truth):
        raise DataFault(f"no image of the {request.split} split has a class label to evaluate on")
    figures = class_figures(answers)
    gaps = _gaps(scene, figures)
    metrics = as_metrics(figures, gaps)
    if joint:
        metrics["classification_loss"] = metrics.pop("loss")
    return Measurement(
        table=answers,
        classes=answers.classes,
        metrics=metrics,
        sheets=class_sheets(figures, gaps, answers.classes),
        files=draw_answers(answers, figures, folder),
        examples=answer_examples(answers, request.examples),
        kept=[made.keep] if made.keep else [],
        predicted=made.keep is not None,
    )


def _gaps(scene: EvaluationContext, figures: ClassFigures) -> tuple[SplitGap, ...]:
    """Only for the version's own data; from the metrics of training at its best epoch."""
    from mlops.metrics.class_metrics import HEADLINE, SplitGap

    if not scene.held.own or scene.request.split != "test":
        return ()
    found = []
    for figure in HEADLINE:
        train, val = (
            value_at_best(scene.client, scene.run, f"{split}/{figure}") for split in ("train", "val")
        )
        if train is not None or val is not None:
            found.append(SplitGap(figure, train, val, figures.scores[figure]))
    return tuple(found)
