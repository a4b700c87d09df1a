"""A classifier measured on its table of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.assessment.kept import value_at_best
from mlops.assessment.scene import Measured, Scene
from mlops.assessment.sheets import class_sheets
from mlops.assessment.tables import answers_of
from mlops.errors import DataFault
from mlops.evaluation.drawing.gallery import answer_examples

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.evaluation.metrics.classes import ClassFigures, Gap


def measure_answers(scene: Scene, folder: Path, *, joint: bool) -> Measured:
    """folder: for the drawings. joint: the data have boxes too, and `loss` would be of both tasks.

    Raises DataFault for a picture that cannot be read, or where no picture has a class.
    """
    from mlops.evaluation.drawing.draw_classes import draw_answers
    from mlops.evaluation.metrics.classes import as_metrics, class_figures

    request = scene.request
    made = answers_of(scene.source, scene.held.dataset, request.split, scene.held.place)
    answers = made.answers
    assert answers is not None
    if not len(answers.truth):
        raise DataFault(f"no picture of the {request.split} split has a class of its own to measure on")
    figures = class_figures(answers)
    gaps = _gaps(scene, figures)
    metrics = as_metrics(figures, gaps)
    if joint:
        metrics["classification_loss"] = metrics.pop("loss")
    return Measured(
        table=answers,
        classes=answers.classes,
        metrics=metrics,
        sheets=class_sheets(figures, gaps, answers.classes),
        files=draw_answers(answers, figures, folder),
        examples=answer_examples(answers, request.examples),
        kept=[made.keep] if made.keep else [],
        predicted=made.keep is not None,
    )


def _gaps(scene: Scene, figures: ClassFigures) -> tuple[Gap, ...]:
    """Of the version's own data alone; from what training tracked of its best epoch."""
    from mlops.evaluation.metrics.classes import HEADLINE, Gap

    if not scene.held.own or scene.request.split != "test":
        return ()
    found = []
    for figure in HEADLINE:
        train, val = (
            value_at_best(scene.client, scene.run, f"{split}/{figure}") for split in ("train", "val")
        )
        if train is not None or val is not None:
            found.append(Gap(figure, train, val, figures.scores[figure]))
    return tuple(found)
