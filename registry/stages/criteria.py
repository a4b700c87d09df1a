"""A model's policy as the success criteria of a training report: required and reached values.

A registered version is judged as in a promotion, without a champion. A run without a version is compared only
with the policy's metrics, as the other gates are about a version's files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.tracked_facts import Criterion
from registry.evidence.gated_metrics import OF_BOXES, metrics_read, reads_boxes, stored_names
from registry.evidence.gather import gather
from registry.evidence.version_files import fetch_samples
from registry.gates.evidence_values import Evidence, with_approvals
from registry.gates.judge import judge
from registry.ledger.log import read_chain
from registry.ledger.signing import counting
from registry.policies.conditions import LEVELS, Ceiling, Floor, GapLimit, NotWorse, PerClass
from registry.policies.policy import GATED
from registry.stages.judgement import approvals_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow import MlflowClient

    from mlops.reports.tracked_facts import ReportData, RunFacts
    from registry.gates.judge import GateResult
    from registry.policies.conditions import Gate
    from registry.policies.policy import Policy

_FIGURES = (Floor, Ceiling, PerClass, GapLimit)
_SAMPLES = "test/boxes.parquet"


def criteria_of(client: MlflowClient, data: ReportData, policy: Policy) -> tuple[Criterion, ...]:
    """One criterion per gate, in the policy's order, Staging's before Production's."""
    gathered, version = _evidence(client, data, policy), data.version
    entries = read_chain(client, version.model).entries if version is not None else ()
    counts = counting(policy.signing_keys)
    found = []
    for stage in GATED:
        said = approvals_of(entries, version.version, stage, counts) if version is not None else ()
        evidence = with_approvals(gathered, said, stage)
        for gate in policy.gates.get(stage, ()):
            if isinstance(gate, NotWorse) or (data.version is None and not isinstance(gate, _FIGURES)):
                continue
            result = judge((gate,), evidence)[0]
            found.append(_criterion(gate, str(stage), result, evidence, data.run))
    return tuple(found)


def _evidence(client: MlflowClient, data: ReportData, policy: Policy) -> Evidence:
    if data.version is not None:
        return gather(client, data.version.model, data.version.version, policy, None)
    run = client.get_run(data.run.run_id)
    classes = data.run.dataset.classes if data.run.dataset else ()
    of_boxes = reads_boxes(policy)
    samples = fetch_samples(client, data.run.run_id) if of_boxes else None
    return Evidence(
        model=policy.model,
        version="",
        run_id=data.run.run_id,
        classes=classes,
        metrics=metrics_read(client, run, policy, classes, samples),
    )


def _criterion(gate: Gate, stage: str, result: GateResult, evidence: Evidence, run: RunFacts) -> Criterion:
    if isinstance(gate, Floor | PerClass):
        limits = {level: f">= {_number(limit)}" for level, limit in gate.limits().items()}
        minimum, target, stretch = (limits.get(level, "") for level in LEVELS)
    else:
        minimum, target, stretch = result.limit, "", ""
    value, metrics = _value(gate, evidence, run)
    return Criterion(
        name=gate.name,
        stage=stage,
        minimum=minimum,
        target=target,
        stretch=stretch,
        reached="" if result.passed is None else result.figure,
        level=_level(gate, result, evidence),
        value=value,
        metrics=metrics if result.passed is not None else (),
    )


def _level(gate: Gate, result: GateResult, evidence: Evidence) -> str:
    if result.passed is None:
        return "not measured"
    if not isinstance(gate, Floor | PerClass):
        return "passed" if result.passed else "refused"
    values = _values(gate, evidence)
    own = gate.classes if isinstance(gate, PerClass) else {}
    reached = [
        level
        for level, limit in gate.limits().items()
        if all(
            value >= (own.get(name, limit) if level == "minimum" else limit) for name, value in values.items()
        )
    ]
    return reached[-1] if reached else "none"


def _values(gate: Floor | PerClass, evidence: Evidence) -> dict[str, float]:
    if isinstance(gate, Floor):
        return {"": evidence.metrics[gate.metric]}
    names = dict.fromkeys((*evidence.classes, *gate.classes))
    return {name: evidence.metrics[f"{gate.metric}/{name}"] for name in names}


def _value(gate: Gate, evidence: Evidence, run: RunFacts) -> tuple[float | None, tuple[str, ...]]:
    """The value that decides, and the names of the stored metrics it was read from."""
    if isinstance(gate, Floor | Ceiling):
        return evidence.metrics.get(gate.metric), _stored((gate.metric,), run)
    if isinstance(gate, GapLimit):
        of, to = evidence.metrics.get(gate.of), evidence.metrics.get(gate.to)
        gap = None if of is None or to is None else (of - to if gate.one_sided else abs(of - to))
        return gap, _stored((gate.of, gate.to), run)
    if isinstance(gate, PerClass):
        names = [f"{gate.metric}/{name}" for name in dict.fromkeys((*evidence.classes, *gate.classes))]
        known = [evidence.metrics[name] for name in names if name in evidence.metrics]
        return min(known, default=None), _stored(names, run)
    return None, ()


def _stored(names: Sequence[str], run: RunFacts) -> tuple[str, ...]:
    """The stored names of these metrics."""
    found: list[str] = []
    for name, (stored, best) in stored_names(names).items():
        if OF_BOXES.fullmatch(name):
            found.append(_SAMPLES)
        elif name == "test/F1" and name not in run.latest:
            found += ["test/precision", "test/recall"]
        else:
            found.append(best if best in run.latest else stored)
    return tuple(found)


def _number(limit: float) -> str:
    return f"{limit:.4f}".rstrip("0").rstrip(".")
