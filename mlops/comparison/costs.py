"""Costs and sizes of two configurations. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlops.comparison.candidate import CandidateLatency, Configuration, Costs, Side
from mlops.comparison.comparison_result import Growth
from mlops.metrics.statistics.metric_differences import FigureCompared
from mlops.metrics.statistics.recommending import Better, Fact, fact_of

_COSTS: tuple[tuple[str, str, Better, Callable[[Costs], float | None]], ...] = (
    ("parameters", "", "lower", lambda costs: costs.parameters),
    ("ONNX file", "bytes", "lower", lambda costs: costs.onnx_bytes),
    ("weights file", "bytes", "lower", lambda costs: costs.weights_bytes),
    ("training time", "s", "lower", lambda costs: costs.training_s),
    ("epochs", "", "", lambda costs: costs.epochs),
    ("training speed", "images/s", "higher", lambda costs: costs.images_per_s),
)
_LATENCIES: tuple[tuple[str, Callable[[CandidateLatency], float]], ...] = (
    ("latency p50", lambda latency: latency.p50_ms),
    ("latency p95", lambda latency: latency.p95_ms),
)


def costs_of(baseline: Configuration, candidate: Configuration) -> tuple[Fact, ...]:
    """Known costs, as means over seeds. Latencies of different machines have no relative difference."""
    facts = []
    for name, unit, better, read in _COSTS:
        first, second = (_mean(side, read) for side in (baseline, candidate))
        if first is not None or second is not None:
            facts.append(fact_of(name, unit, first, second, better))
    return (*facts, *_latencies(baseline, candidate))


def losses_of(baseline: Configuration, candidate: Configuration) -> tuple[Fact, ...]:
    """The losses of the last epoch that both have."""
    held = [set(side.losses) for side in (*baseline.sides, *candidate.sides)]
    facts = []
    for name in sorted(set.intersection(*held)):
        first, second = (
            sum(side.losses[name] for side in each.sides) / each.seeds for each in (baseline, candidate)
        )
        facts.append(fact_of(name, "", first, second))
    return tuple(facts)


def growth_of(baseline: Side, candidate: Side, figures: Sequence[FigureCompared]) -> Growth | None:
    """The growth of the training data; None if the sizes are equal or unknown."""
    first, second = baseline.trained_on, candidate.trained_on
    if not first or not second or first == second:
        return None
    return Growth(first, second, second / first, {each.figure: 100 * each.difference for each in figures})


def _mean(configuration: Configuration, read: Callable[[Costs], float | None]) -> float | None:
    values = [read(side.costs) for side in configuration.sides]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _latencies(baseline: Configuration, candidate: Configuration) -> list[Fact]:
    held = [side.costs.latency for side in (*baseline.sides, *candidate.sides)]
    devices = {latency.device for latency in held if latency is not None}
    note = f"measured on different machines: {' and '.join(sorted(devices))}" if len(devices) > 1 else ""
    facts = []
    for name, read in _LATENCIES:

        def of_one(costs: Costs, read: Callable[[CandidateLatency], float] = read) -> float | None:
            return None if costs.latency is None else read(costs.latency)

        first, second = _mean(baseline, of_one), _mean(candidate, of_one)
        if first is not None or second is not None:
            facts.append(fact_of(name, "ms", first, second, "lower", note))
    return facts
