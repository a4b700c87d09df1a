"""From figures and costs to a choice, with its reasons in words. Pure.

The choice rests on one figure that is settled beforehand, so that none is picked for looking well:

1. Of the candidates that are better on it than the baseline, the best; where the interval between two such
   holds 0, the cheaper of them.
2. Else the cheapest candidate that is not worse (within the margin) and cheaper than the baseline.
3. Else the baseline; and where nothing could be told, that is said.
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
    """Something measured once of each side, without an interval: parameters, bytes, seconds.

    baseline, candidate: None where it is not known. better: which of them is the gain, "" for neither.
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
    """A candidate as it is judged: `primary` is None where the baseline lacks the figure or it lacks it.

    against: for each other candidate, the interval of this one's primary figure less that one's.
    """

    name: str
    primary: FigureCompared | None
    others: tuple[FigureCompared, ...]
    facts: tuple[Fact, ...]
    against: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """choice: a side's name. verdict: of the choice against the baseline, or of the best candidate where the
    choice is the baseline; "" where none could be judged. says: the reasons, a sentence each.
    """

    choice: str
    verdict: Verdict | Literal[""]
    says: tuple[str, ...]


# what one is cheaper by, the first that is known of both
COSTS = ("latency p50", "parameters", "ONNX file", "weights file")


def recommend(baseline: str, weighed: Sequence[Weighed], margin: float, samples: int) -> Recommendation:
    """Choose. samples: the pictures that were compared on."""
    judged = [each for each in weighed if each.primary is not None]
    if not judged:
        return Recommendation(
            baseline,
            "",
            (f"No candidate shares the figure that decides with {baseline}: nothing is chosen.",),
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
    """The best, or the cheapest of those that cannot be told from it."""
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
        says.append(f"What it costs or saves: {costs}.")
    return Recommendation(chosen.name, "better", (*says, *_warnings(chosen)))


def _baseline_stays(baseline: str, judged: Sequence[Weighed], samples: int) -> Recommendation:
    best = max(judged, key=lambda each: _primary(each).candidate)
    primary = _primary(best)
    says = [f"{_told(best)}: {_in_words(best)}."]
    if primary.verdict == "worse" and primary.holds:
        return Recommendation(baseline, "worse", (*says, f"{baseline} stays."))
    half, gap = (primary.high - primary.low) / 2, abs(primary.difference)
    if 0 < gap < half:
        needed = float(f"{samples * (half / gap) ** 2:.2g}")  # an estimate: two digits
        says.append(
            f"To tell a difference of that size apart, about {needed:,.0f} pictures like these {samples:,} "
            "would be needed."
        )
    if (saved := _saves(best)) > 0:
        says.append(f"{best.name} is cheaper ({_costs(best)}); where that counts, measure on more pictures.")
    verdict: Verdict = "not distinguishable" if primary.verdict in ("better", "worse") else primary.verdict
    says.append(f"{baseline} stays, as nothing speaks for a change" + (" in quality." if saved > 0 else "."))
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
        return f"{primary.verdict} by its interval, not distinguishable once {compared} are compared"
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
    """The part of the first cost that is known by which it is below the baseline's; 0 for none known."""
    facts = {fact.fact: fact for fact in each.facts}
    for cost in COSTS:
        if cost in facts and facts[cost].relative is not None:
            return -float(facts[cost].relative or 0.0)
    return 0.0


def _costs(each: Weighed) -> str:
    """Known costs that differ by a percent or more."""
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
    """With the relative difference where both are known and nothing speaks against it (`note`)."""
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
