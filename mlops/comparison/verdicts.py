"""From resamples to verdicts, corrected for multiple tests, and a recommendation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops.comparison.candidate import Configuration
from mlops.comparison.comparison_result import Against, Party
from mlops.comparison.costs import costs_of, growth_of, losses_of
from mlops.comparison.resampled_scores import KINDS, Draws, Kind
from mlops.errors import BadSetting, NotComparable
from mlops.metrics.statistics.hypothesis_tests import McNemar, mcnemar
from mlops.metrics.statistics.metric_differences import (
    ComparisonSettings,
    FigureCompared,
    Undefined,
    compare_figures,
    corrected,
    interval,
)
from mlops.metrics.statistics.recommending import Recommendation, Weighed, recommend
from mlops.metrics.statistics.resampling import of_seeds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DECIDING = ("mAP50-95", "macro_f1")  # the first that all have; the objectives of the systems


def deciding_figure(configurations: Sequence[Configuration], draws: Draws, asked: str) -> str:
    """The metric that decides. Raises BadSetting for one that the baseline does not have."""
    own = draws.figures(configurations[0])
    if asked:
        if asked not in own:
            raise BadSetting("the command line", "--primary", asked, ", ".join(own))
        return asked
    shared = [name for name in DECIDING if all(name in draws.figures(each) for each in configurations)]
    return next(iter([*shared, *(name for name in DECIDING if name in own)]))


def judge(
    configurations: Sequence[Configuration], draws: Draws, primary: str, settings: ComparisonSettings
) -> tuple[tuple[Against, ...], int]:
    """Compare each candidate with the first configuration; returns the number of secondary metrics, too.

    Holm's correction is over the candidates for the metric that decides, and over all other metrics of all
    candidates for these.
    """
    baseline, candidates = configurations[0], configurations[1:]
    compared: list[list[FigureCompared]] = []
    undefined: list[list[Undefined]] = []
    for place, candidate in enumerate(candidates, start=1):
        both = [_compared(baseline, candidate, kind, draws, settings, place) for kind in KINDS]
        compared.append([each for figures, _ in both for each in figures])
        undefined.append([each for _, missing in both for each in missing])
        if not compared[-1]:
            raise NotComparable(f"{baseline.name} and {candidate.name} have no defined metric in common")
    alpha = 1 - settings.confidence
    first = corrected([[each for each in own if each.figure == primary] for own in compared], alpha)
    others = corrected([[each for each in own if each.figure != primary] for own in compared], alpha)
    against = tuple(
        _against(baseline, candidate, [*decides, *rest], missing)
        for candidate, decides, rest, missing in zip(candidates, first, others, undefined, strict=True)
    )
    return against, sum(len(each) for each in others)


def recommendation(
    configurations: Sequence[Configuration],
    against: Sequence[Against],
    draws: Draws,
    primary: str,
    settings: ComparisonSettings,
    pictures: int,
) -> Recommendation:
    """The recommended configuration, by the metric that decides and the costs."""
    weighed = [
        Weighed(
            name=each.candidate.name,
            primary=next((f for f in each.figures if f.figure == primary), None),
            others=tuple(f for f in (*each.figures, *each.classes) if f.figure != primary),
            facts=each.facts,
            against=_between(configurations, place, draws, primary, settings),
        )
        for place, each in enumerate(against, start=1)
    ]
    return recommend(configurations[0].name, weighed, settings.margin, pictures)


def party(configuration: Configuration) -> Party:
    first = configuration.sides[0]
    return Party(
        name=configuration.name,
        runs=tuple(side.run_id for side in configuration.sides),
        seeds=tuple(side.seed for side in configuration.sides),
        system=first.system,
        recipe=first.recipe,
        trained_digest=first.trained_digest,
        trained_on=first.trained_on,
        thresholds=tuple(side.threshold for side in configuration.sides if side.threshold is not None),
    )


def _compared(
    baseline: Configuration,
    candidate: Configuration,
    kind: Kind,
    draws: Draws,
    settings: ComparisonSettings,
    place: int,
) -> tuple[list[FigureCompared], list[Undefined]]:
    first, second = (draws.of(each, kind) for each in (baseline, candidate))
    return compare_figures(first, second, settings, place) if first and second else ([], [])


def _against(
    baseline: Configuration,
    candidate: Configuration,
    compared: Sequence[FigureCompared],
    undefined: Sequence[Undefined],
) -> Against:
    headlines = tuple(each for each in compared if "/" not in each.figure)
    return Against(
        candidate=party(candidate),
        figures=headlines,
        classes=tuple(each for each in compared if "/" in each.figure),
        undefined=tuple(undefined),
        mcnemar=_mcnemar(baseline, candidate),
        facts=costs_of(baseline, candidate),
        losses=losses_of(baseline, candidate),
        growth=growth_of(baseline.sides[0], candidate.sides[0], headlines),
    )


def _mcnemar(baseline: Configuration, candidate: Configuration) -> McNemar | None:
    """Only for one model against one, as the test does not support seeds."""
    if baseline.seeds > 1 or candidate.seeds > 1:
        return None
    one, other = baseline.sides[0].answers, candidate.sides[0].answers
    if one is None or other is None:
        return None
    return mcnemar(one.truth, one.predicted, other.predicted)


def _between(
    configurations: Sequence[Configuration],
    place: int,
    draws: Draws,
    figure: str,
    settings: ComparisonSettings,
) -> dict[str, tuple[float, float]]:
    """The interval of this candidate's metric minus that of each other candidate."""
    own = _drawn_figure(configurations[place], place, draws, figure, settings)
    found = {}
    for other, each in enumerate(configurations[1:], start=1):
        theirs = _drawn_figure(each, other, draws, figure, settings)
        if other != place and own is not None and theirs is not None:
            found[each.name] = interval(own - theirs, settings.confidence)
    return found


def _drawn_figure(
    configuration: Configuration, place: int, draws: Draws, figure: str, settings: ComparisonSettings
) -> NDArray[np.float64] | None:
    for kind in KINDS:
        held = draws.of(configuration, kind)
        if held and figure in held[0].figures:
            return of_seeds(held, (settings.seed, 1 + place)).of(figure)[1]
    return None
