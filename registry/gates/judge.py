"""Gates: pure functions from a policy's conditions and a version's evidence to results.

`judge(gates, evidence)` returns one `GateResult` per gate, in the policy's order; `refusals(results)` are
those that refuse the version. `passed` is True, False, or None if the value was not measured; None refuses,
too, and `says` names the command that measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.policies import conditions as c

if TYPE_CHECKING:
    from registry.gates.evidence_values import Evidence, Latency

_TRAIN = "`mlops train {model}` measures it at its end"
_LATENCY = "run `mlops registry measure {model} {version}`"
_EXPORT = "run `mlops export {model}/{version} --format {format}`"
_APPROVE = "add one with `mlops registry approve {model} {version} --for {stage}`"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of one gate.

    gate: its name in the policy's stage. passed: None if not measured, which refuses.
    figure, limit: as text with units; figure is "not measured" if passed is None.
    says: the message, one sentence without a full stop.
    """

    gate: str
    passed: bool | None
    figure: str
    limit: str
    says: str


def judge(gates: Sequence[c.Gate], evidence: Evidence) -> tuple[GateResult, ...]:
    """One result per gate, in order. Deterministic."""
    return tuple(_JUDGES[type(gate)](gate, evidence) for gate in gates)


def refusals(results: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """The results that refuse the version, including those that were not measured."""
    return tuple(result for result in results if result.passed is not True)


def _floor(gate: c.Floor, evidence: Evidence) -> GateResult:
    value, floor = evidence.metrics.get(gate.metric), gate.limits()[gate.require]
    limit = f">= {_number(floor)}"
    if value is None:
        return _missing(gate.name, limit, gate.metric, evidence, _TRAIN)
    reached = _reached(gate, value)
    says = f"{gate.metric} is {_number(value)}, the policy requires at least {_number(floor)}{reached}"
    return GateResult(gate.name, value >= floor, _number(value), limit, says)


def _ceiling(gate: c.Ceiling, evidence: Evidence) -> GateResult:
    value, limit = evidence.metrics.get(gate.metric), f"<= {_number(gate.at_most)}"
    if value is None:
        return _missing(gate.name, limit, gate.metric, evidence, _TRAIN)
    says = f"{gate.metric} is {_number(value)}, the policy allows at most {_number(gate.at_most)}"
    return GateResult(gate.name, value <= gate.at_most, _number(value), limit, says)


def _per_class(gate: c.PerClass, evidence: Evidence) -> GateResult:
    """Judged by the class with the smallest margin to its limit."""
    floor = gate.limits()[gate.require]
    own = [f"{name} {_number(value)}" for name, value in gate.classes.items()]
    limit = f">= {_number(floor)}" + (f" ({', '.join(own)})" if own else "")
    names = (*evidence.classes, *(name for name in gate.classes if name not in evidence.classes))
    if not names:
        return _missing(gate.name, limit, "its list of classes", evidence, _TRAIN)
    absent = [name for name in names if f"{gate.metric}/{name}" not in evidence.metrics]
    if absent:
        return _missing(gate.name, limit, f"{gate.metric}/{absent[0]}", evidence, _TRAIN)
    values = {name: evidence.metrics[f"{gate.metric}/{name}"] for name in names}
    limits = {name: gate.classes.get(name, floor) for name in names}
    weakest = min(names, key=lambda name: (values[name] - limits[name], name))
    below = [name for name in names if values[name] < limits[name]]
    says = (
        f"the weakest of {len(names)} classes, {weakest}, has {gate.metric} {_number(values[weakest])}, "
        f"the policy requires at least {_number(limits[weakest])}"
    )
    says += f" ({len(below)} classes are below)" if len(below) > 1 else ""
    lowest = min(values.values())
    says += "" if gate.classes else _reached(gate, lowest)
    return GateResult(gate.name, not below, f"{weakest} {_number(values[weakest])}", limit, says)


def _gap(gate: c.GapLimit, evidence: Evidence) -> GateResult:
    limit = f"<= {_number(gate.at_most)}"
    for metric in (gate.of, gate.to):
        if metric not in evidence.metrics:
            return _missing(gate.name, limit, metric, evidence, _TRAIN)
    of, to = evidence.metrics[gate.of], evidence.metrics[gate.to]
    gap = round(of - to if gate.one_sided else abs(of - to), 12)  # 0.97 - 0.95 is 0.020000000000000018
    grade = next(
        (name for name, below in sorted(gate.grades.items(), key=lambda item: item[1]) if gap < below), ""
    )
    says = (
        f"{gate.of} is {_number(of)} and {gate.to} {_number(to)}, a gap of {_number(gap)}, "
        f"the policy allows at most {_number(gate.at_most)}" + (f"; graded {grade}" if grade else "")
    )
    return GateResult(gate.name, gap <= gate.at_most, _number(gap), limit, says)


def _not_worse(gate: c.NotWorse, evidence: Evidence) -> GateResult:
    limit = " or ".join(gate.accept) + f" (margin {_number(gate.margin)}, {gate.confidence:.0%})"
    if not evidence.champion:
        says = "there is no version in the stage to compare with"
        return GateResult(gate.name, True, "no champion", limit, says)
    asked = (evidence.champion, gate.metric, gate.confidence, gate.margin)
    found = next(
        (
            each
            for each in evidence.comparisons
            if (each.champion, each.metric, each.confidence, each.margin) == asked
        ),
        None,
    )
    if found is None or not found.verdict:
        why = found.problem if found is not None else "the per-sample results were not compared"
        says = (
            f"{evidence.name} cannot be compared with version {evidence.champion} on {gate.metric}: "
            f"{why}; train it with `mlops train {evidence.model}` on the champion's data"
        )
        return GateResult(gate.name, None, "not measured", limit, says)
    says = (
        f"{gate.metric} is {found.difference:+.4f} against version {evidence.champion} "
        f"({gate.confidence:.0%} interval {found.low:+.4f} to {found.high:+.4f}, {found.samples} images): "
        f"{found.verdict}, the policy accepts {' or '.join(gate.accept)} with a margin of "
        f"{_number(gate.margin)}"
    )
    return GateResult(gate.name, found.verdict in gate.accept, found.verdict, limit, says)


def _latency(gate: c.LatencyLimit, evidence: Evidence) -> GateResult:
    limits = [
        *([f"p50 <= {_number(gate.p50_ms)} ms"] if gate.p50_ms is not None else []),
        *([f"p95 <= {_number(gate.p95_ms)} ms"] if gate.p95_ms is not None else []),
        *([f">= {_number(gate.per_second)} images/s"] if gate.per_second is not None else []),
    ]
    limit = ", ".join(limits) + (f" on {gate.device}" if gate.device else "")
    measured = evidence.latency
    if measured is None:
        return _missing(gate.name, limit, "the latency of its ONNX file", evidence, _LATENCY)
    if gate.device.lower() not in measured.device.lower():
        what = f"the latency on {gate.device} (it was measured on {measured.device})"
        return _missing(gate.name, limit, what, evidence, _LATENCY)
    p50, per_second = measured.p50_ms, 1000 / measured.p50_ms
    passed = (
        (gate.p50_ms is None or p50 <= gate.p50_ms)
        and (gate.p95_ms is None or measured.p95_ms <= gate.p95_ms)
        and (gate.per_second is None or per_second >= gate.per_second)
    )
    figure = f"p50 {p50:.1f} ms, p95 {measured.p95_ms:.1f} ms"
    says = (
        f"the latency is p50 {p50:.1f} ms ({per_second:.1f} images/s) and p95 {measured.p95_ms:.1f} ms "
        f"of {measured.calls} calls on {measured.device}, the policy requires {limit}"
    )
    return GateResult(gate.name, passed, figure, limit, says)


def _size(gate: c.Size, evidence: Evidence) -> GateResult:
    limit = f"<= {_number(gate.at_most_mb)} MB"
    measured: Latency | None = evidence.latency
    if measured is None:
        return _missing(gate.name, limit, "the size of its ONNX file", evidence, _LATENCY)
    size_mb = measured.size_bytes / 1e6
    says = f"the ONNX file has {size_mb:.2f} MB, the policy allows at most {_number(gate.at_most_mb)} MB"
    return GateResult(gate.name, size_mb <= gate.at_most_mb, f"{size_mb:.2f} MB", limit, says)


def _parity(gate: c.ParityLimit, evidence: Evidence) -> GateResult:
    limit = f"difference <= {gate.difference:g}, agreement >= {gate.agreement:.2%}"
    found = next((each for each in evidence.parity if each.format == gate.format), None)
    if found is None:
        what = f"the parity of its {gate.format} export"
        return _missing(gate.name, limit, what, evidence, _EXPORT.replace("{format}", gate.format))
    passed = found.passed and found.difference <= gate.difference and found.agreement >= gate.agreement
    figure = f"difference {found.difference:.2g}, agreement {found.agreement:.2%}"
    says = (
        f"on {found.pictures} held-out images the {gate.format} file differs from the original by at most "
        f"{found.difference:.2g} and agrees on {found.agreement:.2%}, the policy requires at most "
        f"{gate.difference:g} and at least {gate.agreement:.2%}"
    )
    says += "" if found.passed else "; the export did not keep the file (see its certificate)"
    return GateResult(gate.name, passed, figure, limit, says)


def _data(gate: c.DataSound, evidence: Evidence) -> GateResult:
    data = evidence.data
    demo = ", no demo data" if gate.demo == "refused" else ""
    limit = f"digest known, checked, no error, no shared image{demo}"
    if not data.digest:
        return _missing(gate.name, limit, "the digest of its data", evidence, _TRAIN)
    if data.demo is None:
        return _missing(gate.name, limit, "whether it was trained on demo data", evidence, _TRAIN)
    if gate.demo == "refused" and data.demo:
        says = f"{evidence.name} was trained on demo data, the policy requires real data"
        return GateResult(gate.name, False, "demo data", limit, says)
    if data.faults is None:
        return _missing(gate.name, limit, "the check of its data", evidence, _TRAIN)
    errors = sum(count for code, count in data.faults.items() if code.startswith("error/"))
    shared = sum(count for code, count in data.faults.items() if code.partition("/")[2] in gate.shared)
    figure = f"{errors} errors, {shared} shared images"
    says = (
        f"the check of data {data.digest[:12]} found {errors} errors and {shared} images in two splits, "
        "the policy allows none"
    )
    return GateResult(gate.name, errors == 0 and shared == 0, figure, limit, says)


def _licence(gate: c.LicenceKnown, evidence: Evidence) -> GateResult:
    limit = " or ".join(gate.allowed) or "stated"
    if not evidence.licence:
        return _missing(gate.name, limit, "its licence", evidence, _TRAIN)
    passed = not gate.allowed or evidence.licence in gate.allowed
    says = f"the licence is {evidence.licence}, the policy requires one that is {limit}"
    return GateResult(gate.name, passed, evidence.licence, limit, says)


def _safe_files(gate: c.SafeFiles, evidence: Evidence) -> GateResult:
    limit = "no unsafe pickle"
    if evidence.unsafe is None or not evidence.files:
        says = (
            f"the files of {evidence.name} cannot be read, so they cannot be scanned for pickles; "
            f"see their path in `mlops registry show {evidence.model} {evidence.version}`"
        )
        return GateResult(gate.name, None, "not measured", limit, says)
    count = len(evidence.unsafe)
    if not count:
        says = f"none of the {len(evidence.files)} files contains an unsafe pickle"
        return GateResult(gate.name, True, "none", limit, says)
    others = f" (and {count - 1} more)" if count > 1 else ""
    says = f"a pickle could call {evidence.unsafe[0]}{others}, the policy allows none"
    return GateResult(gate.name, False, f"{count} unsafe", limit, says)


def _approvals(gate: c.Approvals, evidence: Evidence) -> GateResult:
    limit = f">= {gate.at_least}, not by the trainer"
    rejecting = [each for each in evidence.approvals if not each.approves]
    if rejecting:
        by = rejecting[0]
        says = f"{by.who} rejected {evidence.name}" + (f": {by.comment}" if by.comment else "")
        return GateResult(gate.name, False, f"rejected by {by.who}", limit, says)
    if not evidence.trained_by and evidence.approvals:
        what = "who trained it (needed to count approvals)"
        return _missing(gate.name, limit, what, evidence, _TRAIN)
    trainers = {evidence.trained_by, *evidence.trainers}
    others = sorted({each.who for each in evidence.approvals} - trainers)
    own = sorted({each.who for each in evidence.approvals} & trainers)
    by_whom = f"{len(others)} ({', '.join(others)})" if others else "0"
    says = f"{evidence.name} has {by_whom} approvals, the policy requires at least {gate.at_least}"
    says += f"; the approval by {', '.join(own)}, who trained it, does not count" if own else ""
    passed = len(others) >= gate.at_least
    if not passed:
        stage = (evidence.stage or "Production").lower()
        says += "; " + _APPROVE.format(model=evidence.model, version=evidence.version, stage=stage)
    return GateResult(gate.name, passed, by_whom, limit, says)


def _missing(gate: str, limit: str, what: str, evidence: Evidence, how: str) -> GateResult:
    measures = how.format(model=evidence.model, version=evidence.version)
    says = f"{evidence.name}: {what} is unknown; {measures}"
    return GateResult(gate, None, "not measured", limit, says)


def _reached(gate: c.Floor | c.PerClass, value: float) -> str:
    """The highest level reached, if the gate has several."""
    levels = gate.limits()
    if len(levels) < 2:
        return ""
    reached = [level for level, limit in levels.items() if value >= limit]
    return f"; it reaches the {reached[-1]} level" if reached else "; it reaches no level"


def _number(value: float) -> str:
    """At most four decimals, without trailing zeros: 0.85, 0.9817, 50."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


_JUDGES: dict[type[Any], Callable[[Any, Evidence], GateResult]] = {
    c.Floor: _floor,
    c.Ceiling: _ceiling,
    c.PerClass: _per_class,
    c.GapLimit: _gap,
    c.NotWorse: _not_worse,
    c.LatencyLimit: _latency,
    c.Size: _size,
    c.ParityLimit: _parity,
    c.DataSound: _data,
    c.LicenceKnown: _licence,
    c.SafeFiles: _safe_files,
    c.Approvals: _approvals,
}
