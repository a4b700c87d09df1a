"""Every candidate's metrics on the same resamples. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from mlops.comparison.candidate import BoxAnswers, ClassAnswers, Configuration, Side
from mlops.errors import NotComparable
from mlops.metrics.statistics.metric_differences import ComparisonSettings
from mlops.metrics.statistics.resampling import (
    Drawn,
    Progress,
    resample,
    scores_of_boxes,
    scores_of_classes,
    shared_cells,
)

Kind: TypeAlias = Literal["boxes", "classes"]
LIBRARYS = 0.25  # the default threshold of Ultralytics
KINDS: tuple[Kind, ...] = ("boxes", "classes")


@dataclass(frozen=True, slots=True)
class Draws:
    """held: kind -> run ID -> its metrics. pictures: kind -> number of compared images."""

    held: Mapping[Kind, Mapping[str, Drawn]]
    pictures: Mapping[Kind, int]

    def of(self, configuration: Configuration, kind: Kind) -> list[Drawn]:
        """One for each of its trainings; [] if a training has no results of this kind."""
        held = self.held.get(kind, {})
        runs = [side.run_id for side in configuration.sides]
        return [held[run] for run in runs] if all(run in held for run in runs) else []

    def pictures_of(self, figure: str) -> int:
        """Number of images that `figure` was compared on."""
        return next(
            self.pictures[kind]
            for kind, drawn in self.held.items()
            if any(figure in each.figures for each in drawn.values())
        )

    def figures(self, configuration: Configuration) -> tuple[str, ...]:
        """The metrics of a configuration."""
        return tuple(
            figure for kind in KINDS for each in self.of(configuration, kind)[:1] for figure in each.figures
        )


def at_threshold(side: Side, given: float | None) -> Side:
    """The side with its score threshold: `given`, its own, or the library's default."""
    if side.boxes is None:
        return replace(side, threshold=None)
    own = LIBRARYS if side.threshold is None else side.threshold
    return replace(side, threshold=own if given is None else given)


def draw(sides: Sequence[Side], settings: ComparisonSettings, on_draw: Progress | None = None) -> Draws:
    """Resample for each kind of result that two or more sides have. Their boxes share one list of images.

    Raises NotComparable if there is nothing to resample.
    """
    held: dict[Kind, Mapping[str, Drawn]] = {}
    pictures: dict[Kind, int] = {}
    boxes = {side.run_id: side.boxes for side in sides if side.boxes is not None}
    if len(boxes) > 1:
        thresholds = {side.run_id: LIBRARYS if side.threshold is None else side.threshold for side in sides}
        held["boxes"] = _boxes(boxes, thresholds, settings, on_draw)
        looked_at = [each.pictures or len(each.detections.pictures) for each in boxes.values()]
        pictures["boxes"] = max(looked_at)
    answers = {side.run_id: side.answers for side in sides if side.answers is not None}
    if len(answers) > 1:
        held["classes"] = _classes(answers, settings, on_draw)
        pictures["classes"] = len(next(iter(answers.values())).truth)
    return Draws(held, pictures)


def _boxes(
    boxes: Mapping[str, BoxAnswers],
    thresholds: Mapping[str, float],
    settings: ComparisonSettings,
    on_draw: Progress | None,
) -> dict[str, Drawn]:
    names = {index: name for each in boxes.values() for index, name in each.classes.items()}
    counts = np.ones(len(next(iter(boxes.values())).detections.pictures), np.int64)
    if not len(counts):
        raise NotComparable("the tables have no boxes, neither annotated nor predicted")
    models = [scores_of_boxes(each.detections, names, thresholds[run]) for run, each in boxes.items()]
    drawn = resample(counts, models, draws=settings.draws, seed=settings.seed, on_progress=on_draw)
    return dict(zip(boxes, drawn, strict=True))


def _classes(
    answers: Mapping[str, ClassAnswers], settings: ComparisonSettings, on_draw: Progress | None
) -> dict[str, Drawn]:
    first = next(iter(answers.values()))
    cells, counts = shared_cells(first.truth, [each.predicted for each in answers.values()])
    models = [
        scores_of_classes(cells[:, 0], cells[:, column], first.classes) for column in range(1, cells.shape[1])
    ]
    drawn = resample(counts, models, draws=settings.draws, seed=settings.seed, on_progress=on_draw)
    return dict(zip(answers, drawn, strict=True))
