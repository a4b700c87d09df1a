"""Format a comparison: tables as rows of text, numbers with digits and units. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlops.comparison.comparison_result import Against, Comparison
from mlops.metrics.statistics.metric_differences import FigureCompared
from mlops.metrics.statistics.recommending import Fact


@dataclass(frozen=True, slots=True)
class TextTable:
    """rows: each has as many cells as head: a name, numbers, and text in the last."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(found: Comparison, against: Against, names: tuple[str, str]) -> tuple[TextTable, ...]:
    """The non-empty tables of one candidate. names: of baseline and candidate."""
    interval = f"{found.settings.confidence:.0%} interval"
    made = [
        _figures("Metrics", against.figures, names, interval, found.primary),
        _figures("Metrics per class", against.classes, names, interval, found.primary),
        _facts("Size, time, speed", against.facts, names),
        _facts("Losses of the last epoch", against.losses, names),
    ]
    return tuple(table for table in made if table.rows)


def verdict_in_words(figure: FigureCompared) -> str:
    """The verdict, with the result of Holm's correction."""
    if figure.verdict in ("better", "worse") and not figure.holds:
        return f"{figure.verdict}, not after Holm"
    return figure.verdict


def growth_in_words(against: Against) -> str:
    """The growth of the training data and the gains; "" without growth."""
    growth = against.growth
    if growth is None:
        return ""
    size = f"{growth.factor:.3g}x" if growth.factor >= 1 else f"1/{1 / growth.factor:.3g} of"
    points = ", ".join(f"{name} {points:+.2f}" for name, points in growth.points.items())
    return (
        f"Trained on {growth.candidate:,} images, {size} the baseline's {growth.baseline:,}; "
        f"difference in percentage points: {points}."
    )


def mcnemar_in_words(against: Against) -> str:
    """The counts and p-value of the test; "" without a test."""
    test = against.mcnemar
    if test is None:
        return ""
    return (
        f"McNemar: only the baseline is correct on {test.only_baseline} images, only "
        f"{against.candidate.name} on {test.only_candidate} (both on {test.both_right}, neither on "
        f"{test.both_wrong}); exact p {p_value(test.p)}."
    )


def _figures(
    title: str, figures: Sequence[FigureCompared], names: tuple[str, str], interval: str, primary: str
) -> TextTable:
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
    return TextTable(
        title, ("metric", *names, "difference", "relative", interval, "p (Holm)", "verdict"), tuple(rows)
    )


def _facts(title: str, facts: Sequence[Fact], names: tuple[str, str]) -> TextTable:
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
    return TextTable(title, ("", *names, "relative", "winner"), rows)


def decimals_of(figure: FigureCompared) -> int:
    """As many that half the interval has two significant digits, the precision of these samples."""
    half = (figure.high - figure.low) / 2
    return 4 if half <= 0 else min(5, max(2, 1 - math.floor(math.log10(half))))


def share(value: float, decimals: int, spread: float | None = None) -> str:
    """A value, with its standard deviation over seeds if there is one."""
    return f"{value:.{decimals}f}" + ("" if spread is None else f" ± {spread:.{decimals}f}")


def change(relative: float | None) -> str:
    """A relative difference in percent, as in reports.

    >>> change(0.1344), change(1.2), change(-0.0104), change(None)
    ('+13.4%', '+120%', '-1.0%', '-')
    """
    if relative is None:
        return "-"
    return f"{relative:+.1%}" if abs(relative) < 1 else f"{relative:+.0%}"


def p_value(p: float) -> str:
    """
    >>> p_value(0.0004), p_value(0.0312), p_value(1.0)
    ('<0.001', '0.031', '1.00')
    """
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def quantity(value: float | None, unit: str) -> str:
    """A measured value with a readable unit.

    >>> quantity(2_590_620, ""), quantity(10_500_000, "bytes"), quantity(23_400, "s"), quantity(7.31, "ms")
    ('2.59 M', '10.5 MB', '6.50 h', '7.31 ms')
    """
    if value is None:
        return "not recorded"
    if unit == "bytes":
        return f"{_three(value / 1e6)} MB"
    if unit == "s":
        return _time(value)
    if unit:
        return f"{_three(value)} {unit}"
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{_three(value / size)} {letter}"
    return f"{value:,.0f}" if value == int(value) else _three(value)


def winner(fact: Fact, baseline: str, candidate: str) -> str:
    """Which of the two is better; "-" for neither."""
    if not fact.better or not fact.relative:
        return "-"
    gains = (fact.relative < 0) == (fact.better == "lower")
    return candidate if gains else baseline


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{_three(seconds)} s"
    return f"{_three(seconds / 60)} min" if seconds < 7200 else f"{_three(seconds / 3600)} h"


def _three(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
