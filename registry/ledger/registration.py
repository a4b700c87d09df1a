"""The first ledger entry of a version: the digests of all its files, and the training that it came from.

Training writes it right after the version was created, with digests of its own copies, so that a file changed
on the server afterwards differs. A version without the entry gets it at the next command that changes the
model's stages, marked as late: from then on its files are fixed.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops.errors import MoveLost
from mlops.store.identity import TRAINED_BY_TAG, me
from registry.ledger.entry import Action, LedgerEntry, Stage
from registry.ledger.log import append, read_chain
from registry.ledger.state import registration_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logging.getLogger(__name__)

STUDY = "study:"
"""Begins the path of a file of the study's run, in `run_file_digests`."""

_OF_VERSION = re.compile(r"weights/best\.\w+|test/[^/]+\.(parquet|json)")
OF_STUDY = "data/data_faults.json"
_TAGS = {
    "data_digest": "mlops.dataset_digest",
    "recipe_digest": "mlops.recipe_digest",
    "code_commit": "mlops.code_commit",
    "code_dirty": "mlops.code_dirty",
    "trained_by": TRAINED_BY_TAG,
    "system": "mlops.system",
    "class_map": "mlops.class_map",
    "licence": "mlops.licence",
    "demo": "mlops.demo",
}
METRICS = "metrics"
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Registration:
    """file_digests: path inside the model -> SHA-256. run_file_digests: path among the artifacts of the run
    (or after `STUDY`, of the study's run) -> SHA-256: weights and evidence. origin: run_id, data_digest,
    recipe_digest, code_commit, code_dirty, trained_by and the other names of `_TAGS`, as far as known;
    metrics: the test metrics as MLflow has them, JSON; late: "true".
    """

    file_digests: Mapping[str, str]
    run_file_digests: Mapping[str, str]
    origin: Mapping[str, str]


def origin_of(
    run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float] | None = None, *, late: bool = False
) -> dict[str, str]:
    """The origin of a version with these `tags`.

    >>> origin_of("0123", {"mlops.dataset_digest": "abc"}, late=True)
    {'run_id': '0123', 'data_digest': 'abc', 'late': 'true'}
    """
    known = {name: tags.get(tag, "") for name, tag in _TAGS.items()}
    finite = {name: value for name, value in (metrics or {}).items() if math.isfinite(value)}
    told = json.dumps(finite, sort_keys=True) if finite else ""
    found = {"run_id": run_id, **known, METRICS: told, "late": "true" if late else ""}
    return {name: value for name, value in found.items() if value}


def belongs(path: str) -> bool:
    """Whether a file of a training run is recorded with its version: the best weights and the test tables.

    >>> [belongs(path) for path in ("weights/best.safetensors", "test/boxes.parquet", "test/curve.png")]
    [True, True, False]
    """
    return _OF_VERSION.fullmatch(path) is not None


def run_files(of_run: Mapping[str, str], of_study: Mapping[str, str]) -> dict[str, str]:
    """`run_file_digests` from the digests of all artifacts of the run, and of its study's run."""
    found = {path: digest for path, digest in of_run.items() if belongs(path) or path == OF_STUDY}
    if OF_STUDY in of_study:
        found[STUDY + OF_STUDY] = of_study[OF_STUDY]
    return dict(sorted(found.items()))


def register(
    client: MlflowClient, model: str, version: str, registration: Registration, uid: str
) -> LedgerEntry:
    """Write the entry, unless the version has one; returns the version's entry.

    uid: the same for each attempt. Raises what `registry.ledger.log.append` raises; a lost race is retried.
    """
    for attempt in range(_ATTEMPTS):
        chain = read_chain(client, model)
        known = registration_of(chain.entries, version)
        if known is not None:
            if known.uid != uid and known.file_digests != registration.file_digests:
                _log.warning("%s/%s was registered before, with other files: %s", model, version, known.who)
            return known
        entry = LedgerEntry(
            sequence=chain.next_sequence,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            who=me(),
            action=Action.REGISTER,
            model=model,
            version=version,
            from_stage=Stage.NONE,
            to_stage=Stage.NONE,
            why="",
            previous=chain.head,
            uid=uid,
            file_digests=registration.file_digests,
            run_file_digests=registration.run_file_digests,
            origin=registration.origin,
        )
        try:
            append(client, entry)
        except MoveLost:
            time.sleep(random.uniform(0, 0.1 * (attempt + 1)))
            continue
        return entry
    raise MoveLost(f"concurrent changes to {model}; version {version} is recorded at the next command")
