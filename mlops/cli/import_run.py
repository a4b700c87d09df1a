"""`mlops import-run`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import NAME
from mlops.errors import BadSetting
from mlops.terminal.messages import warn
from mlops.terminal.progress import tracked
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from mlops.past_runs import Imported, PastRun
    from mlops.tracking import SyncReport, Tracker

_LAST_DELIVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """left, left_because: number of undelivered entries in the outbox, and the reason."""

    tracking_uri: str
    runs: tuple[Imported, ...]
    run_ids: tuple[str, ...]
    left: int
    left_because: str


@click.command("import-run")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--system", default="", help="System that the run trained; becomes the experiment and a tag of the run."
)
@click.option(
    "--experiment",
    type=NAME,
    default="",
    help="Experiment of the runs.  [default: the system, else 'imported']",
)
@click.option(
    "--started",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]),
    default=None,
    help="Start of the training in local time, if the copy has lost it; for one DIR only.",
)
@click.option(
    "--status",
    type=click.Choice(["FINISHED", "FAILED", "KILLED"]),
    default=None,
    help="Status of the run.  [default: inferred from the folder]",
)
@click.option("--no-weights", is_flag=True, help="Do not import the files under weights/.")
@json_option
def import_run(
    paths: tuple[Path, ...],
    system: str,
    experiment: str,
    started: datetime | None,
    status: str | None,
    no_weights: bool,
    as_json: bool,
) -> None:
    """Import past runs into MLflow, with their original times.

    DIR is an Ultralytics run folder (args.yaml, results.csv, weights/, plots), a folder with a history.json,
    or a history.json itself. A history is {"loss": [...], "val_accuracy": [...]} or [{"epoch": 1, "loss":
    ...}, ...]; either may be under the key "history", next to "params" and "started".

    Importing a run again adds only its new epochs. Every DIR is read before anything is recorded. Weights
    are stored but never loaded.

    \b
    Examples:
      mlops import-run runs/detect/train --system railway-detector
      mlops import-run runs/detect/* --system railway-detector
      mlops import-run history.json --experiment cells --started 2025-10-21T09:00
    """
    if started is not None and len(paths) > 1:
        raise BadSetting("the command line", "--started", started.isoformat(), "only with one DIR")
    if system:
        from mlops.systems import load_system

        system = load_system(system).name
    outcome = _import_all(
        _read_all(paths, started, status, weights=not no_weights), system, experiment or system or "imported"
    )
    for run in outcome.runs:
        for warning in run.warnings:
            warn(warning)
    show(outcome, as_json, _as_text(outcome))


def _read_all(
    paths: tuple[Path, ...], started: datetime | None, status: str | None, *, weights: bool
) -> list[PastRun]:
    from mlops.past_runs.read_folder import Told, read_past_run

    told = Told(started, cast('Literal["FINISHED", "FAILED", "KILLED"] | None', status), weights)
    return [read_past_run(path, told) for path in paths]


def _import_all(past: list[PastRun], system: str, experiment: str) -> ImportOutcome:
    from mlops.files.home import home_folder
    from mlops.past_runs import take_in
    from mlops.tracking import Tracker, ensure_store, tracking_uri

    uri = tracking_uri()
    ensure_store(uri)
    tags = {"mlops.system": system} if system else {}
    with Tracker(home_folder(), uri, deliver=False) as tracker:
        imported = tuple(take_in(tracker, each, experiment, tags) for each in tracked(past, "recording"))
        delivery = _deliver(tracker)
        ids = tuple(tracker.run(each.key).mlflow_id() or "" for each in imported)
    return ImportOutcome(uri, imported, ids, delivery.left, delivery.error or "")


def _deliver(tracker: Tracker) -> SyncReport:
    from mlops.cli.sync import delivery_bar

    with delivery_bar("delivering") as on_progress:
        return tracker.sync(_LAST_DELIVERY_S, on_progress)


def _as_text(outcome: ImportOutcome) -> str:
    rows = [("run", "status", "epochs", "new", "id", "")]
    rows += [
        (run.name, run.status, str(run.epochs), str(run.new_epochs), run_id or "-", _says(run))
        for run, run_id in zip(outcome.runs, outcome.run_ids, strict=True)
    ]
    lines = [aligned(rows), ""]
    experiments = ", ".join(sorted({run.experiment for run in outcome.runs}))
    lines.append(f"Experiment {experiments} at {outcome.tracking_uri}")
    if outcome.left:
        lines.append(f"{outcome.left} entries not delivered yet, kept in the outbox: {outcome.left_because}")
        lines.append("  Deliver them: mlops sync")
    return "\n".join(lines)


def _says(run: Imported) -> str:
    return "already imported, nothing new" if run.unchanged else run.ended
