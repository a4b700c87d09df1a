"""Recommend a configuration by metrics and costs, with reasons. Pure.

The choice depends on one metric that is fixed in advance, so that none is picked for its result:

1. The best of the candidates that are better than the baseline; if it is not distinguishable from another
   one, the cheaper of them.
2. Else the cheapest candidate that is not worse (within the margin) and cheaper than the baseline.
3. Else the baseline; if nothing is distinguishable, a reason states it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mlops.metrics.statistics.metric_differences import FigureCompared, relative
from mlops.metrics.statistics.paired import Verdict

Better: TypeAlias = Literal["lower", "higher", ""]


@dataclass(frozen=True, slots=True)
class Fact:
    """A value measured once per side, without an interval: parameters, bytes, seconds.

    baseline, candidate: None if unknown. better: which direction is better, "" for neither.
    note: why there is no relative difference, or "".
    """

    fact: str
    unit: str
    baseline: float | None
    candidate: float | None
    relative: float | None
    better: Better = "lower"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate to judge. primary: None if the baseline or the candidate does not have the metric.

    against: for each other candidate, the interval of this one's primary metric minus that one's.
    """

    name: str
    primary: FigureCompared | None
    others: tuple[FigureCompared, ...]
    facts: tuple[Fact, ...]
    against: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """choice: name of a side. verdict: of the choice against the baseline, or of the best candidate if the
    choice is the baseline; "" if none could be judged. says: the reasons, one sentence each.
    """

    choice: str
    verdict: Verdict | Literal[""]
    says: tuple[str, ...]


# costs to compare by; the first that is known for both is used
COSTS = ("latency p50", "parameters", "ONNX file", "weights file")


def recommend(baseline: str, weighed: Sequence[Weighed], margin: float, samples: int) -> Recommendation:
    """Choose. samples: number of compared images."""
    judged = [each for each in weighed if each.primary is not None]
    if not judged:
        return Recommendation(
            baseline,
            "",
            (f"No candidate has the metric that decides in common with {baseline}, so none is recommended.",),
        )
    better = [each for each in judged if _stands(each, "better")]
    if better:
        return _of_better(better)
    saving = [each for each in judged if _primary(each).verdict == "not worse" and _saves(each) > 0]
    if saving:
        chosen = max(saving, key=_saves)
        reason = f"{_told(chosen)}: not worse within {margin:g}, and cheaper ({_costs(chosen)})."
        return Recommendation(chosen.name, "not worse", (reason, *_warnings(chosen)))
    return _baseline_stays(baseline, judged, samples)


def _of_better(better: Sequence[Weighed]) -> Recommendation:
    """The best, or the cheapest of those that are not distinguishable from it."""
    best = max(better, key=lambda each: _primary(each).candidate)
    alike = [each for each in better if each is not best and best.against[each.name][0] <= 0]
    chosen = max([best, *alike], key=_saves)
    says = [f"{_told(chosen)}: better."]
    for rival in alike if chosen is best else [best]:
        low, high = best.against[(rival if chosen is best else chosen).name]
        cheaper = ", and it is cheaper" if _saves(chosen) > _saves(rival) else ""
        says.append(
            f"It is not distinguishable from {rival.name} (interval of the difference "
            f"{low:+.4f} to {high:+.4f}){cheaper}."
        )
    if costs := _costs(chosen):
        says.append(f"Costs compared with the baseline: {costs}.")
    return Recommendation(chosen.name, "better", (*says, *_warnings(chosen)))


def _baseline_stays(baseline: str, judged: Sequence[Weighed], samples: int) -> Recommendation:
    best = max(judged, key=lambda each: _primary(each).candidate)
    primary = _primary(best)
    says = [f"{_told(best)}: {_in_words(best)}."]
    if primary.verdict == "worse" and primary.holds:
        return Recommendation(baseline, "worse", (*says, f"Keep {baseline}."))
    half, gap = (primary.high - primary.low) / 2, abs(primary.difference)
    if 0 < gap < half:
        needed = float(f"{samples * (half / gap) ** 2:.2g}")  # an estimate: two digits
        says.append(
            f"To detect a difference of this size, about {needed:,.0f} images are needed, instead of "
            f"{samples:,}."
        )
    if _saves(best) > 0:
        says.append(f"{best.name} is cheaper ({_costs(best)}); if this matters, test on more images.")
    verdict: Verdict = "not distinguishable" if primary.verdict in ("better", "worse") else primary.verdict
    says.append(f"Keep {baseline}: no evidence of better quality.")
    return Recommendation(baseline, verdict, tuple(says))


def _primary(each: Weighed) -> FigureCompared:
    assert each.primary is not None
    return each.primary


def _stands(each: Weighed, verdict: Verdict) -> bool:
    return _primary(each).verdict == verdict and _primary(each).holds


def _in_words(each: Weighed) -> str:
    primary = _primary(each)
    if primary.verdict in ("better", "worse") and not primary.holds:
        compared = len(each.against) + 1
        return f"{primary.verdict} by its interval, but not after correction for {compared} comparisons"
    return primary.verdict


def _told(each: Weighed) -> str:
    primary = _primary(each)
    return (
        f"{each.name}: {primary.figure} {primary.candidate:.4f} against {primary.baseline:.4f}, "
        f"{primary.difference:+.4f} (interval {primary.low:+.4f} to {primary.high:+.4f})"
    )


def _warnings(each: Weighed) -> list[str]:
    worse = [other for other in each.others if other.verdict == "worse" and other.holds]
    return [f"But {other.figure} is worse: {other.difference:+.4f}." for other in worse]


def _saves(each: Weighed) -> float:
    """Relative saving compared with the baseline, by the first known cost; 0 if none is known."""
    facts = {fact.fact: fact for fact in each.facts}
    for cost in COSTS:
        if cost in facts and facts[cost].relative is not None:
            return -float(facts[cost].relative or 0.0)
    return 0.0


def _costs(each: Weighed) -> str:
    """Known costs that differ by at least 1 %."""
    return ", ".join(
        f"{fact.relative:+.0%} {fact.fact}"
        for fact in each.facts
        if fact.better == "lower" and fact.relative is not None and abs(fact.relative) >= 0.01
    )


def fact_of(
    fact: str,
    unit: str,
    baseline: float | None,
    candidate: float | None,
    better: Better = "lower",
    note: str = "",
) -> Fact:
    """A `Fact` with the relative difference, if both values are known and there is no `note`."""
    known = baseline is not None and candidate is not None and not note
    return Fact(
        fact,
        unit,
        baseline,
        candidate,
        relative(float(baseline or 0), float(candidate or 0)) if known else None,
        better,
        note,
    )
