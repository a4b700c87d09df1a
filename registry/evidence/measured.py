"""What was measured of a version after training, as its tags `mlops.latency` and `mlops.parity` (JSON)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from registry.connect import asking
from registry.evidence.facts import Latency, Parity

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LATENCY, _PARITIES = TypeAdapter(Latency), TypeAdapter(tuple[Parity, ...])
LATENCY_TAG = "mlops.latency"
PARITY_TAG = "mlops.parity"


def write_latency(client: MlflowClient, model: str, version: str, latency: Latency) -> None:
    """Keep a measurement; it takes the place of the one before."""
    with asking(f"keeping the latency of {model}/{version}"):
        client.set_model_version_tag(model, version, LATENCY_TAG, _as_json(asdict(latency)))


def write_parity(client: MlflowClient, model: str, version: str, parity: Sequence[Parity]) -> None:
    """Keep what an export found, one for each format; all at once, in place of those before."""
    with asking(f"keeping the export parity of {model}/{version}"):
        client.set_model_version_tag(model, version, PARITY_TAG, _as_json([asdict(each) for each in parity]))


def read_latency(tags: Mapping[str, str], files: Mapping[str, str] | None) -> Latency | None:
    """The latency among a version's tags; None where there is none that could have been measured, as anyone
    may set a tag, or it is of a file now not in `files`.
    """
    try:
        found = _LATENCY.validate_json(tags.get(LATENCY_TAG, ""))
    except ValidationError:
        return None
    possible = 0 < found.p50_ms <= found.p95_ms < math.inf and found.calls > 0 and found.size_bytes > 0
    return found if possible and files and found.onnx_digest in files.values() else None


def read_parity(tags: Mapping[str, str], files: Mapping[str, str] | None) -> tuple[Parity, ...]:
    """The parities among a version's tags, by format, of exports of a file that is still in `files`; () where
    there is none that can be read.
    """
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
