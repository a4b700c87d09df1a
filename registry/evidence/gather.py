"""Read the evidence of a version from the server. The only part of judging that does I/O.

`gather(client, model, version, policy, champion)` reads and writes nothing:

| evidence | from |
|---|---|
| metrics `test/...` | the training run's metrics |
| metrics `val/...`, `train/...` that a gate names | `best/<name>`, or the curve at step `best/epoch` |
| `test/F1`, `test/recall@T`, `test/patch_F2@T` that a gate names | test precision and recall; the boxes |
| classes | the version's tag and its files; a class that is missing in the tag is judged, too |
| licence, data digest, demo | the version's tags |
| data faults | `data/data_faults.json` of the study's run (the training run's parent), or of the run |
| files, unsafe | the version's own files, hashed and scanned for pickles |
| latency, parity | the version's tags `mlops.latency`, `mlops.parity` (`registry.evidence.gated_metrics`) |
| comparisons | `test/predictions.parquet` or `test/boxes.parquet` of this version's run and the champion's |
| trained_by, trainers | the training run's user, and the version's tag `mlops.trained_by` |

Approvals are in the ledger, which this module does not read: add them with `evidence_values.with_approvals`.
Missing evidence is left out, and the gate that needs it refuses. Raises UnknownVersion for a version that
does not exist, ServerUnavailable if the server does not answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.store.client import asking
from mlops.store.identity import TRAINED_BY_TAG
from mlops.store.model_digests import digests
from mlops.store.resolve import run_of
from mlops.training.pickles import unsafe_in
from registry.evidence.gated_metrics import kept_metrics, read_latency, read_parity, reads_boxes, with_derived
from registry.evidence.paired_samples import compare
from registry.evidence.version_files import (
    ONNX_DIGEST_TAG,
    fetch_json,
    fetch_samples,
    stated_in,
    version_files,
)
from registry.gates.evidence_values import DataFacts, Evidence
from registry.ledger.registration import OF_STUDY as FAULTS
from registry.ledger.registration import STUDY
from registry.ledger.state import registration_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from registry.evidence.paired_samples import Samples
    from registry.ledger.entry import LedgerEntry
    from registry.policies.policy import Policy

_AT_ONCE = 6


def gather(
    client: MlflowClient,
    model: str,
    version: str,
    policy: Policy,
    champion: str | None,
    entries: Sequence[LedgerEntry] = (),
) -> Evidence:
    """The evidence of `model` version `version`. champion: the version that it would replace, if any.

    entries: the ledger; of a version that training registered there, only the recorded files count.
    """
    compared = () if champion in (None, version) else policy.comparisons()
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # most of the time is spent waiting for the server
        reading_files = pool.submit(_files, client, model, version)
        other_recorded = _recorded(entries, champion or "")
        reading_other = pool.submit(
            _champions_samples, client, model, champion if compared else None, other_recorded
        )
        with asking(f"reading {model}/{version}"):
            found = client.get_model_version(model, version)
        asked = bool(compared) or reads_boxes(policy)
        recorded = _recorded(entries, version)
        reading_samples = pool.submit(_samples, client, found.run_id if asked else None, recorded)
        tags = dict(found.tags or {})
        run = run_of(client, found.run_id)
        reading_faults = pool.submit(_faults, client, run, recorded)
        told = _classes(tags.get("mlops.class_map", ""))
        metrics = kept_metrics(client, run, policy, told) if run is not None else {}
        files, unsafe, stated = reading_files.result()
        classes = tuple(dict.fromkeys((*told, *stated)))
        if classes != told and run is not None:  # rare, as it means that the tag was changed
            metrics = kept_metrics(client, run, policy, classes)
        samples, other = reading_samples.result(), reading_other.result()
        faults = reading_faults.result()
    trainers = _trainers(run, tags)
    return Evidence(
        model=model,
        version=str(version),
        champion=champion if champion and champion != version else "",
        run_id=found.run_id or "",
        trained_by=trainers[0] if trainers else "",
        trainers=trainers,
        classes=classes,
        licence=tags.get("mlops.licence", ""),
        metrics=with_derived(metrics, policy, classes, samples),
        data=_data(run, tags, faults),
        onnx_digest=tags.get(ONNX_DIGEST_TAG, ""),
        files=files,
        unsafe=unsafe,
        latency=read_latency(tags, files),
        parity=read_parity(tags, files),
        comparisons=tuple(compare(gate, champion or "", samples, other) for gate in compared),
    )


def _recorded(entries: Sequence[LedgerEntry], version: str) -> Collection[str] | None:
    """The files of the run that training recorded with the version; None if all count."""
    entry = registration_of(entries, version)
    return None if entry is None or entry.origin.get("late") else entry.run_file_digests


def _samples(client: MlflowClient, run_id: str | None, recorded: Collection[str] | None) -> Samples | None:
    return fetch_samples(client, run_id, recorded) if run_id else None


def _champions_samples(
    client: MlflowClient, model: str, champion: str | None, recorded: Collection[str] | None
) -> Samples | None:
    if not champion:
        return None
    try:
        with asking(f"reading {model}/{champion}"):
            found = client.get_model_version(model, champion)
    except UnknownVersion:
        return None  # the champion was deleted, so there is nothing to compare with
    return _samples(client, found.run_id, recorded)


def _files(
    client: MlflowClient, model: str, version: str
) -> tuple[dict[str, str] | None, tuple[str, ...] | None, tuple[str, ...]]:
    """Digests, what pickles could call, and the classes; None, None, () if the files are missing."""
    try:
        with version_files(client, model, version) as folder:
            files = digests(folder)
            unsafe = tuple(f"{path}: {name}" for path in files for name in unsafe_in(folder / path))
            stated = (stated_in(folder) or {}).get("classes") or ()
    except UnknownVersion:
        return None, None, ()
    return files, unsafe, tuple(str(name) for name in stated)


def _data(run: Run | None, tags: Mapping[str, str], faults: Mapping[str, int] | None) -> DataFacts:
    """Demo data if either the version's tag or its run's tag says so, as tags can be changed."""
    run_tags = dict(run.data.tags) if run is not None else {}
    said = {known.get("mlops.demo", "") for known in (tags, run_tags)} - {""}
    return DataFacts(
        digest=tags.get("mlops.dataset_digest", ""),
        demo=("true" in said) if said else None,
        faults=faults,
    )


def _faults(client: MlflowClient, run: Run | None, recorded: Collection[str] | None) -> dict[str, int] | None:
    """Number of faults by "severity/code"; {} if the check found none."""
    if run is None:
        return None
    study = run.data.tags.get("mlflow.parentRunId", "")
    for run_id, path in ((study, STUDY + FAULTS), (run.info.run_id, FAULTS)):
        if not run_id or (recorded is not None and path not in recorded):
            continue
        rows = fetch_json(client, run_id, FAULTS)
        if isinstance(rows, list):
            return _counted(rows)
    return None


def _counted(rows: list[object]) -> dict[str, int] | None:
    """None for rows that are not from a data check, as anyone can replace the file."""
    codes: Counter[str] = Counter()
    for row in rows:
        if not isinstance(row, dict) or not {"severity", "code"} <= row.keys():
            return None
        codes[f"{row['severity']}/{row['code']}"] += 1
    return dict(sorted(codes.items()))


def _classes(class_map: str) -> tuple[str, ...]:
    """From the tag `mlops.class_map`, {"0": name, ...}, in the order of the indices."""
    try:
        held = json.loads(class_map)
        return tuple(str(held[index]) for index in sorted(held, key=int))
    except (ValueError, TypeError, AttributeError, LookupError):
        return ()


def _trainers(run: Run | None, tags: Mapping[str, str]) -> tuple[str, ...]:
    """Every name that the run or the version gives for who trained it, as tags can be changed."""
    given = [tags.get(TRAINED_BY_TAG, "")]
    if run is not None:
        given = [run.data.tags.get("mlflow.user", ""), run.info.user_id or "", *given]
    return tuple(
        dict.fromkeys(name for name in given if name not in ("", "unknown"))
    )  # "unknown" is MLflow's placeholder
