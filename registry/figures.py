"""The figures that a policy's gates name: of the weights that are shipped, not of the last epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.evaluation.boxes import Boxes, count_at
from mlops.tracking.names import entity_name
from registry.conditions import Ceiling, Floor, Gap, PerClass
from registry.connect import asking
from registry.evidence import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from registry.policy import Policy
    from registry.samples import Samples

BEST_EPOCH = "best/epoch"


def metrics_read(
    client: MlflowClient, run: Run, policy: Policy, classes: Sequence[str], samples: Samples | None
) -> dict[str, float]:
    """All `test/...` of the run, and every other figure that a gate of `policy` names, where it is known.

    Names are the gates' own, with the classes as the class map writes them.
    """
    kept = finite(run.data.metrics)
    found = {name: value for name, value in kept.items() if name.startswith("test/")}
    for name in names_read(policy, classes):
        value = _value(client, run, kept, name)
        if value is None:
            value = _derived(name, kept, samples)
        if value is not None:
            found[name] = value
    return dict(sorted(finite(found).items()))


def names_read(policy: Policy, classes: Sequence[str]) -> tuple[str, ...]:
    """Every metric that some gate of some stage reads, each once."""
    names: list[str] = []
    for gate in (gate for gates in policy.gates.values() for gate in gates):
        if isinstance(gate, Floor | Ceiling):
            names.append(gate.metric)
        elif isinstance(gate, Gap):
            names += [gate.of, gate.to]
        elif isinstance(gate, PerClass):
            names += [f"{gate.metric}/{name}" for name in dict.fromkeys((*classes, *gate.classes))]
    return tuple(dict.fromkeys(names))


def _value(client: MlflowClient, run: Run, kept: dict[str, float], name: str) -> float | None:
    """A test figure as it stands; another at the best epoch, or where the curve has one point only."""
    if "@" in name:
        return None  # MLflow has no such names
    stored = entity_name(name)
    if name.startswith("test/") or f"best/{stored}" in kept:
        return kept.get(stored if name.startswith("test/") else f"best/{stored}")
    if stored not in kept:
        return None
    with asking(f"reading the curve of {stored}"):
        curve = client.get_metric_history(run.info.run_id, stored)
    at = kept.get(BEST_EPOCH)
    if at is None and len(curve) == 1:
        return float(curve[0].value)
    return next((float(point.value) for point in curve if point.step == at), None)


def _derived(name: str, kept: dict[str, float], samples: Samples | None) -> float | None:
    """`test/F1` from mean precision and recall, `test/recall@T` and `test/patch_F2@T` from the boxes."""
    if name == "test/F1" and {"test/precision", "test/recall"} <= kept.keys():
        precision, recall = kept["test/precision"], kept["test/recall"]
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    figure, _, threshold = name.partition("@")
    if not threshold or not isinstance(samples, Boxes):
        return None
    counted = count_at(samples, float(threshold))
    value = {"test/recall": counted.recall, "test/patch_F2": counted.patch_f2}.get(figure)
    return None if value is None else round(value, 9)
