"""A comparison's tables as rows of text: the terminal and the Markdown show the same. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops.comparison.numbers import change, decimals_of, p_value, quantity, share, winner
from mlops.comparison.result import Against, Comparison
from mlops.evaluation.statistics.comparing import FigureCompared
from mlops.evaluation.statistics.recommending import Fact


@dataclass(frozen=True, slots=True)
class Table:
    """rows: as many cells each as head has: a name, numbers, and words in the last."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(found: Comparison, against: Against, names: tuple[str, str]) -> tuple[Table, ...]:
    """All of one candidate; what there is nothing of is left out. names: what both are called in them."""
    interval = f"{found.settings.confidence:.0%} interval"
    made = [
        _figures("Quality", against.figures, names, interval, found.primary),
        _figures("Of each class", against.classes, names, interval, found.primary),
        _facts("Size, time, speed", against.facts, names),
        _facts("Losses of the last epoch", against.losses, names),
    ]
    return tuple(table for table in made if table.rows)


def verdict_in_words(figure: FigureCompared) -> str:
    """With what the correction makes of it."""
    if figure.verdict in ("better", "worse") and not figure.holds:
        return f"{figure.verdict}, not after Holm"
    return figure.verdict


def growth_in_words(against: Against) -> str:
    """How the training data grew and what came of it; "" where they did not."""
    growth = against.growth
    if growth is None:
        return ""
    size = f"{growth.factor:.3g}x" if growth.factor >= 1 else f"1/{1 / growth.factor:.3g} of"
    points = ", ".join(f"{name} {points:+.2f}" for name, points in growth.points.items())
    return (
        f"Trained on {growth.candidate:,} pictures, {size} the baseline's {growth.baseline:,}; "
        f"the difference in points: {points}."
    )


def mcnemar_in_words(against: Against) -> str:
    """The test's counts and its p; "" where it was not made."""
    test = against.mcnemar
    if test is None:
        return ""
    return (
        f"McNemar: the baseline alone is right on {test.only_baseline} pictures, {against.candidate.name} "
        f"alone on {test.only_candidate} (both on {test.both_right}, neither on {test.both_wrong}); exact p "
        f"{p_value(test.p)}."
    )


def _figures(
    title: str, figures: Sequence[FigureCompared], names: tuple[str, str], interval: str, primary: str
) -> Table:
    rows = []
    for each in figures:
        digits = decimals_of(each)
        rows.append(
            (
                f"{each.figure} *" if each.figure == primary else each.figure,
                share(each.baseline, digits, each.baseline_sd),
                share(each.candidate, digits, each.candidate_sd),
                f"{each.difference:+.{digits}f}",
                change(each.relative),
                f"{each.low:+.{digits}f} to {each.high:+.{digits}f}",
                p_value(each.adjusted),
                verdict_in_words(each),
            )
        )
    return Table(
        title, ("figure", *names, "difference", "relative", interval, "p (Holm)", "verdict"), tuple(rows)
    )


def _facts(title: str, facts: Sequence[Fact], names: tuple[str, str]) -> Table:
    rows = tuple(
        (
            each.fact,
            quantity(each.baseline, each.unit),
            quantity(each.candidate, each.unit),
            change(each.relative),
            each.note or winner(each, *names),
        )
        for each in facts
    )
    return Table(title, ("", *names, "relative", "winner"), rows)
