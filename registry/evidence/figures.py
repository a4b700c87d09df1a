"""The figures that a policy's gates name: of the weights that are shipped, not of the last epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlops.evaluation.samples.counting import count_at
from mlops.evaluation.samples.detections import detections_of
from mlops.tracking.names import entity_names
from registry.connect import asking
from registry.evidence.facts import finite
from registry.evidence.samples import boxes_of
from registry.policies.conditions import Ceiling, Floor, Gap, PerClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from registry.evidence.samples import Samples
    from registry.policies.policy import Policy

BEST_EPOCH = "best/epoch"
OF_BOXES = re.compile(r"test/(recall|patch_F2)@(\d*\.?\d+)")  # and from which score on
_AT_ONCE = 6


def metrics_read(
    client: MlflowClient, run: Run, policy: Policy, classes: Sequence[str], samples: Samples | None
) -> dict[str, float]:
    """All `test/...` of the run, and every other figure that a gate of `policy` names, where it is known.

    Names are the gates' own, with the classes as the class map writes them.
    """
    return with_derived(kept_metrics(client, run, policy, classes), policy, classes, samples)


def kept_metrics(client: MlflowClient, run: Run, policy: Policy, classes: Sequence[str]) -> dict[str, float]:
    """Those of them that MLflow has. A curve is a request each; they are read side by side."""
    kept = finite(run.data.metrics)
    names = [name for name in names_read(policy, classes) if not OF_BOXES.fullmatch(name)]
    found = {name: value for name, value in kept.items() if name.startswith("test/")}
    stored = stored_names(names)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        values = pool.map(lambda name: _value(client, run, kept, *stored[name]), names)
        found |= {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return finite(found)


def with_derived(
    metrics: Mapping[str, float], policy: Policy, classes: Sequence[str], samples: Samples | None
) -> dict[str, float]:
    """`metrics` and the figures that gates name and that are computed from them, or from the samples."""
    names = [name for name in names_read(policy, classes) if name not in metrics]
    derived = {name: _derived(name, metrics, samples) for name in names}
    found = {name: value for name, value in derived.items() if value is not None}
    return dict(sorted(finite({**metrics, **found}).items()))


def reads_boxes(policy: Policy) -> bool:
    """Whether some gate reads a figure that is computed from the boxes of every picture."""
    return any(OF_BOXES.fullmatch(name) for name in names_read(policy, ()))


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


def stored_names(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """name -> what MLflow has it under, and what it has the same of the best epoch under."""
    own, best = entity_names(names), entity_names([f"best/{name}" for name in names])
    return {name: (own[name], best[f"best/{name}"]) for name in names}


def _value(client: MlflowClient, run: Run, kept: dict[str, float], stored: str, best: str) -> float | None:
    """A test figure as it stands; another at the best epoch, or where the curve has one point only."""
    if stored.startswith("test/"):
        return kept.get(stored)
    if best in kept:
        return kept[best]
    if stored not in kept:
        return None
    with asking(f"reading the curve of {stored}"):
        curve = client.get_metric_history(run.info.run_id, stored)
    at = kept.get(BEST_EPOCH)
    if at is None and len(curve) == 1:
        return float(curve[0].value)
    return next((float(point.value) for point in curve if point.step == at), None)


def _derived(name: str, kept: Mapping[str, float], samples: Samples | None) -> float | None:
    """`test/F1` from mean precision and recall, `test/recall@T` and `test/patch_F2@T` from the boxes."""
    if name == "test/F1" and {"test/precision", "test/recall"} <= kept.keys():
        precision, recall = kept["test/precision"], kept["test/recall"]
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    asked, boxes = OF_BOXES.fullmatch(name), boxes_of(samples)
    if asked is None or boxes is None:
        return None
    counted = count_at(detections_of(boxes), float(asked[2]))
    return round(counted.recall if asked[1] == "recall" else counted.patch_f2, 9)
