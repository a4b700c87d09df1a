"""Numbers as text, with the digits and units that they deserve. Pure."""

from __future__ import annotations

import math

from mlops.evaluation.statistics.comparing import FigureCompared
from mlops.evaluation.statistics.recommending import Fact


def decimals_of(figure: FigureCompared) -> int:
    """So many that the interval's half width has two digits: no more can be told from these samples."""
    half = (figure.high - figure.low) / 2
    return 4 if half <= 0 else min(5, max(2, 1 - math.floor(math.log10(half))))


def share(value: float, decimals: int, spread: float | None = None) -> str:
    """A figure; with its standard deviation over seeds where there is one."""
    return f"{value:.{decimals}f}" + ("" if spread is None else f" ± {spread:.{decimals}f}")


def change(relative: float | None) -> str:
    """A part of the baseline in percent, as the reports have it.

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
    """A measured value in the unit that a person reads.

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
    """Who has the gain in it; "-" for nobody."""
    if not fact.better or not fact.relative:
        return "-"
    gains = (fact.relative < 0) == (fact.better == "lower")
    return candidate if gains else baseline


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{_three(seconds)} s"
    return f"{_three(seconds / 60)} min" if seconds < 7200 else f"{_three(seconds / 3600)} h"


def _three(value: float) -> str:
    """Three significant digits, none in exponents."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
