"""The metrics that a policy's gates read, and the measurements made after training."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from mlops.metrics.samples.matching import count_at, detections_of
from mlops.store.client import asking
from mlops.store.names import entity_names
from registry.evidence.paired_samples import boxes_of
from registry.gates.evidence_values import Latency, Parity, finite
from registry.policies.conditions import Ceiling, Floor, GapLimit, PerClass

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from registry.evidence.paired_samples import Samples
    from registry.policies.policy import Policy

BEST_EPOCH = "best/epoch"
OF_BOXES = re.compile(r"test/(recall|patch_F2)@(\d*\.?\d+)")  # and the score threshold
_AT_ONCE = 6


def metrics_read(
    client: MlflowClient, run: Run, policy: Policy, classes: Sequence[str], samples: Samples | None
) -> dict[str, float]:
    """All `test/...` metrics of the run, and every other known metric that a gate of `policy` names.

    The keys are the names used by the gates, with class names as in the class map.
    """
    return with_derived(kept_metrics(client, run, policy, classes), policy, classes, samples)


def kept_metrics(client: MlflowClient, run: Run, policy: Policy, classes: Sequence[str]) -> dict[str, float]:
    """Those of them that MLflow has. Each curve is one request; they are read concurrently."""
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
    """`metrics` and the metrics of gates that are computed from them or from the samples."""
    names = [name for name in names_read(policy, classes) if name not in metrics]
    derived = {name: _derived(name, metrics, samples) for name in names}
    found = {name: value for name, value in derived.items() if value is not None}
    return dict(sorted(finite({**metrics, **found}).items()))


def reads_boxes(policy: Policy) -> bool:
    """Whether a gate reads a metric that is computed from the boxes of every image."""
    return any(OF_BOXES.fullmatch(name) for name in names_read(policy, ()))


def names_read(policy: Policy, classes: Sequence[str]) -> tuple[str, ...]:
    """Every metric that a gate of any stage reads, without duplicates."""
    names: list[str] = []
    for gate in (gate for gates in policy.gates.values() for gate in gates):
        if isinstance(gate, Floor | Ceiling):
            names.append(gate.metric)
        elif isinstance(gate, GapLimit):
            names += [gate.of, gate.to]
        elif isinstance(gate, PerClass):
            names += [f"{gate.metric}/{name}" for name in dict.fromkeys((*classes, *gate.classes))]
    return tuple(dict.fromkeys(names))


def stored_names(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """name -> its name in MLflow, and the name of its value at the best epoch."""
    own, best = entity_names(names), entity_names([f"best/{name}" for name in names])
    return {name: (own[name], best[f"best/{name}"]) for name in names}


def _value(client: MlflowClient, run: Run, kept: dict[str, float], stored: str, best: str) -> float | None:
    """A test metric as stored; any other metric at the best epoch, or the only point of its curve."""
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


_LATENCY, _PARITIES = TypeAdapter(Latency), TypeAdapter(tuple[Parity, ...])
LATENCY_TAG = "mlops.latency"
PARITY_TAG = "mlops.parity"


def write_latency(client: MlflowClient, model: str, version: str, latency: Latency) -> None:
    """Store a latency measurement; it replaces the previous one."""
    with asking(f"storing the latency of {model}/{version}"):
        client.set_model_version_tag(model, version, LATENCY_TAG, _as_json(asdict(latency)))


def write_parity(client: MlflowClient, model: str, version: str, parity: Sequence[Parity]) -> None:
    """Store the parity of each exported format; replaces all previous ones."""
    with asking(f"storing the export parity of {model}/{version}"):
        client.set_model_version_tag(model, version, PARITY_TAG, _as_json([asdict(each) for each in parity]))


def read_latency(tags: Mapping[str, str], files: Mapping[str, str] | None) -> Latency | None:
    """The latency in a version's tags; None if it is missing, invalid, or of a file that is not in `files`.

    Anyone can set a tag, so its values are checked for plausibility.
    """
    try:
        found = _LATENCY.validate_json(tags.get(LATENCY_TAG, ""))
    except ValidationError:
        return None
    possible = 0 < found.p50_ms <= found.p95_ms < math.inf and found.calls > 0 and found.size_bytes > 0
    return found if possible and files and found.onnx_digest in files.values() else None


def read_parity(tags: Mapping[str, str], files: Mapping[str, str] | None) -> tuple[Parity, ...]:
    """The valid parities in a version's tags, by format, of exports of a file that is still in `files`."""
    try:
        found = _PARITIES.validate_json(tags.get(PARITY_TAG, ""))
    except ValidationError:
        return ()
    there = set((files or {}).values())
    kept = (each for each in found if each.original in there and _possible(each))
    return tuple(sorted(kept, key=lambda each: each.format))


def _possible(parity: Parity) -> bool:
    return parity.pictures > 0 and 0 <= parity.difference < math.inf and 0 <= parity.agreement <= 1


def _as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)
