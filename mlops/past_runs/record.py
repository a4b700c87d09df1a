"""Record a past run through the outbox, with its original times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.past_runs.past_run import PastRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops.tracking import Run, Tracker

_DIGEST_TAG = "mlops.import_digest"


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of the import of one past run.

    new_epochs: number of epochs that were not recorded before. unchanged: nothing was new.
    """

    key: str
    name: str
    experiment: str
    status: str
    ended: str
    epochs: int
    new_epochs: int
    files: int
    unchanged: bool
    warnings: tuple[str, ...]


def take_in(
    tracker: Tracker, past: PastRun, experiment: str, tags: Mapping[str, str] | None = None
) -> Imported:
    """Record `past`; recording it again adds only new epochs and files.

    The run is known by `past.identity`, in the outbox and on the store, so another machine that imports the
    same run finds it there. The next call completes an interrupted import. Recorded epochs are
    not changed.
    """
    key = f"import/{past.identity}"
    known = tracker.known_run(key)
    if known is not None and known.accepted_tags().get(_DIGEST_TAG) == past.digest:
        return _imported(past, known, new_epochs=0, unchanged=True)
    before = (known.last_step() if known is not None else None) or 0
    run = tracker.start_run(
        key,
        experiment=experiment,
        name=past.name,
        tags={"mlops.kind": "training", "mlops.imported": past.source, **(tags or {})},
        uid=past.identity[:32],
        start_ms=past.started_ms,
    )
    run.log_params(past.params)
    for epoch in past.epochs:
        run.log_epoch(epoch.epoch, epoch.metrics, at=epoch.at_ms)
    _log_best(run, past)
    for file, folder in past.files.items():
        run.log_artifact(file, folder)
    run.set_tags(
        {
            "mlops.import_path": str(past.path.resolve()),
            "mlops.ended": past.ended,
            **({"mlops.failure": past.ended} if past.status == "FAILED" else {}),
            _DIGEST_TAG: past.digest,  # with the last entries: what is cut off before is done again
        }
    )
    run.finish(past.status, at_ms=past.ended_ms)
    new = sum(epoch.epoch > before for epoch in past.epochs)
    return _imported(past, run, new_epochs=new, unchanged=False)


def _log_best(run: Run, past: PastRun) -> None:
    """`best/...` as a training of ours records it; anew for each length, as the best may come later."""
    best = past.best()
    if best is None:
        return
    headlines = {
        f"best/{name}": value
        for name, value in best.metrics.items()
        if name.startswith("val/") and name.count("/") == 1  # of the validation as a whole, not of one class
    }
    series = f"summary best of {past.epochs[-1].epoch}"
    run.log_metrics(series, 0, {"best/epoch": float(best.epoch), **headlines}, at=past.ended_ms)


def _imported(past: PastRun, run: Run, *, new_epochs: int, unchanged: bool) -> Imported:
    return Imported(
        key=run.key,
        name=past.name,
        experiment=run.experiment,
        status=past.status,
        ended=past.ended,
        epochs=len(past.epochs),
        new_epochs=new_epochs,
        files=len(past.files),
        unchanged=unchanged,
        warnings=past.warnings,
    )
