"""Format numbers with the appropriate digits.

| value | digits |
|---|---|
| share (mAP, F1, accuracy) | 3 decimals for fewer than 1,000 validation images, else 4: one of n is 1/n |
| loss | 4 significant, at most 4 decimals |
| share or loss, if every value was logged with at most 4 decimals | as logged |
| change in percent, time | 1 decimal |
| learning rate, task weight | 3 significant |
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.reports.metric_labels import is_loss, is_share

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import RunFacts

_MOST = 4


@dataclass(frozen=True, slots=True)
class Digits:
    """Decimals of a run's shares and losses; `loss` None: 4 significant digits each."""

    share: int
    loss: int | None


def digits_of(run: RunFacts) -> Digits:
    """The digits for a run's metrics."""
    shares = [v for key, curve in run.curves.items() if is_share(key) for v in curve.values]
    losses = [v for key, curve in run.curves.items() if is_loss(key) for v in curve.values]
    validated = run.dataset.pictures.get("val") if run.dataset else None
    deserved = 3 if validated is not None and validated < 1000 else 4
    logged = decimals_logged(shares)
    return Digits(deserved if logged is None else max(logged, 3), decimals_logged(losses))


def decimals_logged(values: Iterable[float]) -> int | None:
    """The number of decimals of all values; None for more than four, or no values.

    >>> decimals_logged([0.781, 0.42]), decimals_logged([0.123456])
    (3, None)
    """
    finite = [value for value in values if math.isfinite(value)]
    for places in range(_MOST + 1):
        if finite and all(abs(round(value, places) - value) < 1e-9 for value in finite):
            return places
    return None


def shown(key: str, value: float, digits: Digits) -> str:
    """The value of the metric `key` as text."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if is_share(key):
        return f"{value:.{digits.share}f}"
    if is_loss(key):
        return f"{value:.{digits.loss}f}" if digits.loss is not None else four_significant(value)
    if key.endswith("images_per_s"):
        return f"{value:.1f}" if value < 100 else f"{value:.0f}"
    if key.endswith("_s"):
        return duration(value)
    return f"{value:.3g}"


def four_significant(value: float) -> str:
    """At most four decimals.

    >>> four_significant(5.77461), four_significant(0.0104771), four_significant(123.456)
    ('5.775', '0.0105', '123.5')
    """
    if value == 0:
        return "0"
    return f"{value:.{max(0, min(_MOST, 3 - math.floor(math.log10(abs(value)))))}f}"


def percent(change: float) -> str:
    """A signed change in percent; `change` as a fraction.

    >>> percent(-0.588)
    '-58.8 %'
    """
    return f"{change * 100:+.1f} %"


def points(change: float, share_decimals: int) -> str:
    """A signed difference of two shares, in percentage points.

    >>> points(0.0953, 4)
    '+9.53 points'
    """
    return f"{change * 100:+.{max(share_decimals - 2, 1)}f} points"


def duration(seconds: float) -> str:
    """
    >>> duration(45), duration(246), duration(23400)
    ('45.0 s', '4.1 min', '6.5 h')
    """
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(size_bytes: int) -> str:
    """In MB of 10^6 bytes.

    >>> size(44_000_000), size(5_425_242), size(1_234)
    ('44 MB', '5.4 MB', '1.2 kB')
    """
    if size_bytes < 100_000:
        return f"{size_bytes / 1e3:.1f} kB"
    mb = size_bytes / 1e6
    return f"{mb:.0f} MB" if mb >= 10 else f"{mb:.1f} MB"


def count(number: float) -> str:
    """
    >>> count(11728)
    '11,728'
    """
    return f"{number:,.0f}"
