"""Find anomalies of a training by rules with fixed thresholds.

| rule | threshold |
|---|---|
| loss spike | a training loss more than 30 % above the median of the five epochs before it |
| divergence | a training loss that ends more than 50 % above its lowest value |
| NaN | any loss that is not finite |
| oscillation | a validation metric changes direction at 60 % of 20 epochs, by over one image or 0.25 points |
| over-fitting gap | a training metric more than 5 points above validation's at the end |
| over-fitting loss | a validation loss that ends over 10 % above its lowest while training's fell |
| class left behind | a class that ends 2 points or more below the mean of the others |
| data-loader starvation | a GPU busy less than 70 % of the time |
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops.reports.analysis.bottlenecks import IDLE_GPU

if TYPE_CHECKING:
    from mlops.store.histories import Curve

SPIKE, DIVERGED, RISEN, GAP, BEHIND = 0.30, 0.50, 0.10, 0.05, 0.02
WINDOW, TURNS, LEAST_SWING = 20, 0.6, 0.0025


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One finding. first, last: its epochs; 0 for the whole training. keys: the metrics used.

    figure, threshold: the value and its limit, as text with units.
    """

    rule: str
    what: str
    first: int
    last: int
    figure: str
    threshold: str
    advice: str
    value: float
    keys: tuple[str, ...]


def spikes(curve: Curve) -> tuple[Anomaly, ...]:
    """Consecutive epochs are one spike; they are excluded from the median for later epochs."""
    loss = curve.finite()
    found: list[tuple[int, float]] = []
    calm = list(loss.values[:2])
    for step, value in zip(loss.steps[2:], loss.values[2:], strict=True):
        usual = statistics.median(calm[-5:])
        if usual > 0 and value > (1 + SPIKE) * usual:
            found.append((step, value / usual - 1))
        else:
            calm.append(value)
    return tuple(
        Anomaly(
            "loss spike",
            curve.key,
            group[0][0],
            group[-1][0],
            f"{max(rise for _, rise in group) * 100:.0f} % above the epochs before",
            f"{SPIKE:.0%}",
            "a longer warm-up, a lower learning rate or gradient clipping; check the images of these epochs",
            max(rise for _, rise in group),
            (curve.key,),
        )
        for group in _in_a_row(found)
    )


def divergence(curve: Curve) -> tuple[Anomaly, ...]:
    """The lowest of the last three epochs counts as the end, as a falling loss has not diverged."""
    loss = curve.finite()
    if len(loss.values) < 4:
        return ()
    lowest = min(loss.values)
    end = min(loss.values[-3:])
    if lowest <= 0 or end <= (1 + DIVERGED) * lowest:
        return ()
    at = loss.steps[loss.values.index(lowest)]
    rise = end / lowest - 1
    figure = f"{rise * 100:.0f} % above epoch {at}"
    advice = "a lower learning rate or gradient clipping; use the weights of the best epoch"
    return (
        Anomaly(
            "divergence", curve.key, at, loss.steps[-1], figure, f"{DIVERGED:.0%}", advice, rise, (curve.key,)
        ),
    )


def not_finite(curve: Curve) -> tuple[Anomaly, ...]:
    bad = [s for s, v in zip(curve.steps, curve.values, strict=True) if not math.isfinite(v)]
    if not bad:
        return ()
    half = "validation" if curve.key.startswith("val/") else "training"
    advice = (
        "train without AMP, with a lower learning rate or gradient clipping, and check the labels"
        if half == "training"
        else "half precision may overflow in validation of a valid training; validate without AMP"
    )
    figure = f"{len(bad)} epochs without a finite value" if len(bad) > 1 else "1 epoch without a finite value"
    return (
        Anomaly("NaN", curve.key, bad[0], bad[-1], figure, "none", advice, float(len(bad)), (curve.key,)),
    )


def oscillation(curve: Curve, pictures: int | None) -> tuple[Anomaly, ...]:
    """Windows of 20 epochs that overlap by half; adjacent findings are merged.

    pictures: number of validation images; a change of less than one image (or 0.25 points) does not count.
    """
    figure = curve.finite()
    least = max(LEAST_SWING, 1 / pictures if pictures else 0.0)
    found: list[tuple[int, int, float]] = []
    for begin in range(0, len(figure.values) - WINDOW + 1, WINDOW // 2):
        steps, values = figure.steps[begin : begin + WINDOW], figure.values[begin : begin + WINDOW]
        left = np.asarray(values) - np.polyval(np.polyfit(steps, values, 1), steps)
        turns = float(np.mean(np.diff(np.sign(np.diff(values))) != 0))
        swing = float(np.ptp(left)) / 2
        if turns >= TURNS and swing >= least:
            if found and steps[0] <= found[-1][1] + 1:
                found[-1] = (found[-1][0], steps[-1], max(found[-1][2], swing))
            else:
                found.append((steps[0], steps[-1], swing))
    return tuple(
        Anomaly(
            "oscillation",
            curve.key,
            first,
            last,
            f"±{swing * 100:.1f} points",
            f"±{least * 100:.2f} points",
            "a lower learning rate there (cosine decay), a larger batch, or more validation images",
            swing,
            (curve.key,),
        )
        for first, last, swing in found
    )


def gap(train: Curve, val: Curve) -> tuple[Anomaly, ...]:
    """Uses the last epoch that both have."""
    both = sorted(set(train.finite().steps) & set(val.finite().steps))
    if not both:
        return ()
    last = both[-1]
    difference = (train.at(last) or 0.0) - (val.at(last) or 0.0)
    if difference <= GAP:
        return ()
    advice = "stronger augmentation, weight decay or dropout, fewer epochs, or more data"
    return (
        Anomaly(
            "over-fitting gap",
            f"{train.key} - {val.key}",
            last,
            last,
            f"{difference * 100:.1f} points",
            f"{GAP * 100:.0f} points",
            advice,
            difference,
            (train.key, val.key),
        ),
    )


def rising_validation(train: Curve, val: Curve) -> tuple[Anomaly, ...]:
    """For both, the lowest of the last three epochs counts as the end."""
    learnt, checked = train.finite(), val.finite()
    if len(learnt.values) < 4 or len(checked.values) < 4:
        return ()
    lowest, end = min(checked.values), min(checked.values[-3:])
    at = checked.steps[checked.values.index(lowest)]
    then = learnt.at(at)
    fell = then is not None and min(learnt.values[-3:]) < then
    if lowest <= 0 or end <= (1 + RISEN) * lowest or not fell:
        return ()
    rise = end / lowest - 1
    advice = f"stop about epoch {at} (patience), or stronger augmentation, weight decay or dropout"
    figure = f"{rise * 100:.0f} % above epoch {at}"
    return (
        Anomaly(
            "over-fitting loss",
            val.key,
            at,
            checked.steps[-1],
            figure,
            f"{RISEN:.0%}",
            advice,
            rise,
            (val.key, train.key),
        ),
    )


def left_behind(classes: Mapping[str, Curve], samples: Mapping[str, int]) -> tuple[Anomaly, ...]:
    """classes: the metric of each. samples: training samples of each, if known, for the advice."""
    final = {name: c.finite().values[-1] for name, c in classes.items() if c.finite().values}
    found = []
    for name, value in sorted(final.items(), key=lambda item: item[1]):
        others = [each for other, each in final.items() if other != name]
        if not others or value > statistics.fmean(others) - BEHIND:
            continue
        short = statistics.fmean(others) - value
        few = samples.get(name, 0) and samples[name] < max(samples.values()) / 2
        advice = (
            f"more of its samples ({samples[name]:,} against {max(samples.values()):,}), or class weights"
            if few
            else "check its misses (it has enough samples)"
            if samples
            else "check its misses and its number of samples"
        )
        curve = classes[name]
        found.append(
            Anomaly(
                "class left behind",
                name,
                curve.steps[0],
                curve.finite().steps[-1],
                f"{short * 100:.1f} points below the others",
                f"{BEHIND * 100:.0f} points",
                advice,
                short,
                tuple(c.key for c in classes.values()),
            )
        )
    return tuple(found)


def starved(gpu: Curve) -> tuple[Anomaly, ...]:
    busy = gpu.finite().values
    if not busy or statistics.fmean(busy) >= IDLE_GPU:
        return ()
    mean = statistics.fmean(busy)
    advice = "more workers, a cache or a faster disk; `mlops train --profile` measures their effect"
    return (
        Anomaly(
            "data-loader starvation",
            gpu.key,
            0,
            0,
            f"busy {mean:.0f} %",
            f"{IDLE_GPU:.0f} %",
            advice,
            mean,
            (gpu.key,),
        ),
    )


def _in_a_row(found: Sequence[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    groups: list[list[tuple[int, float]]] = []
    for step, value in found:
        if groups and step == groups[-1][-1][0] + 1:
            groups[-1].append((step, value))
        else:
            groups.append([(step, value)])
    return groups
