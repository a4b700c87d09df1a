"""Compare the named versions, runs or studies; returns a `Comparison`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops.comparison.candidate import AT_LEAST_TWO, Side, grouped
from mlops.comparison.candidate_reading import read_side
from mlops.comparison.comparison_result import Comparison
from mlops.comparison.compatibility import (
    check_different,
    check_same_samples,
    on_shared_pictures,
    refuse_nothing,
)
from mlops.comparison.notes import notes_on
from mlops.comparison.resampled_scores import at_threshold, draw
from mlops.comparison.verdicts import deciding_figure, judge, party, recommendation
from mlops.errors import NotComparable
from mlops.metrics.statistics.metric_differences import ComparisonSettings
from mlops.metrics.statistics.resampling import Progress

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """The options of a comparison.

    named: versions, runs or studies. baseline: one of them, or another; "": the first. split: the folder of
    the per-sample tables. threshold: score threshold of boxes for precision, recall and F1; None: the one
    that `mlops evaluate` chose for each. primary: the metric that decides; "": the default. apart: do not
    group seeds.
    """

    named: tuple[str, ...]
    baseline: str = ""
    split: str = "test"
    threshold: float | None = None
    primary: str = ""
    apart: bool = False
    settings: ComparisonSettings = field(default_factory=ComparisonSettings)


def read_sides(
    client: MlflowClient,
    request: ComparisonRequest,
    on_read: Callable[[Collection[str]], Iterable[str]] = lambda names: names,
) -> list[Side]:
    """Read all candidates, the baseline first.

    on_read: wraps the names while they are read, for a progress bar. Raises NotComparable, UnknownVersion,
    ServerUnavailable.
    """
    named = [*([request.baseline] if request.baseline else []), *request.named]
    if len(named) < 2:
        raise NotComparable(AT_LEAST_TWO)
    sides: list[Side] = []
    for name in on_read(named):
        digest = sides[0].tested.digest if sides else ""
        sides.append(read_side(client, name, request.split, digest))
    return _once(sides) if request.baseline else sides


def compare_sides(
    sides: Sequence[Side], request: ComparisonRequest, on_draw: Progress | None = None
) -> Comparison:
    """Compare all with the first. Reads and writes nothing. Raises NotComparable, NotShown, BadSetting."""
    check_different(sides)
    for other in sides[1:]:
        check_same_samples(sides[0], other)
        refuse_nothing(sides[0], other)
    sides = [at_threshold(side, request.threshold) for side in on_shared_pictures(sides)]
    configurations, notes = grouped(sides, apart=request.apart)
    settings = request.settings
    draws = draw(sides, settings, on_draw)
    primary = deciding_figure(configurations, draws, request.primary)
    against, tests = judge(configurations, draws, primary, settings)
    pictures = draws.pictures_of(primary)
    return Comparison(
        baseline=party(configurations[0]),
        candidates=against,
        tested=sides[0].tested.name,
        tested_digest=sides[0].tested.digest,
        split=sides[0].tested.split,
        pictures={str(kind): number for kind, number in draws.pictures.items()},
        primary=primary,
        settings=settings,
        tests=tests,
        recommendation=recommendation(configurations, against, draws, primary, settings, pictures),
        notes=(*notes, *notes_on(configurations, against, primary, tests, settings)),
    )


def _once(sides: Sequence[Side]) -> list[Side]:
    """Remove the duplicate of the baseline, which may also be among the named ones."""
    first, rest = sides[0], list(sides[1:])
    again = next((place for place, side in enumerate(rest) if side.run_id == first.run_id), None)
    if again is not None:
        rest.pop(again)
    return [first, *rest]
