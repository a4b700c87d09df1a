"""`mlops registry status | history | verify`: looking at the whole, which changes nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import click

from entrypoints.output import json_option, show
from entrypoints.registry_options import columns, connected, keys_of, policy_option
from mlops.errors import BadSetting

if TYPE_CHECKING:
    from registry.ledger.entry import Entry
    from registry.ledger.state import Period
    from registry.overview import ModelStatus, Placed
    from registry.verify import Verified


@click.command()
@click.argument("model", required=False)
@json_option
def status(model: str | None, as_json: bool) -> None:
    """All models by stage, with their figures and age, and whether MLflow contradicts itself.

    \b
    Examples:
      mlops registry status
      mlops registry status railway-detector --json
    """
    from registry.overview import status as statuses

    found = statuses(connected(), model)
    show(found, as_json, _status_text(found))


def _status_text(found: tuple[ModelStatus, ...]) -> str:
    if not found:
        return "no registered models: `mlops train` makes one"
    rows: list[tuple[str, ...]] = [("model", "Production", "Staging", "newest", "drift")]
    rows += [
        (m.model, _placed(m.production), _placed(m.staging), _placed(m.newest), m.drift or "-") for m in found
    ]
    return columns(rows)


def _placed(placed: Placed | None) -> str:
    if placed is None:
        return "-"
    figures = "".join(f" {n.removeprefix('test/')} {v:.3f}" for n, v in list(placed.metrics.items())[:1])
    return f"{placed.version}{figures} ({_age(placed.age_days)})"


def _age(days: float) -> str:
    return f"{days:.0f} d" if days >= 1 else f"{days * 24:.0f} h"


@dataclass(frozen=True, slots=True)
class History:
    """version: who held the stage at the time asked for; None where nobody did, or no time was asked.

    uncounted: the entries, by sequence, that no key of the policy signed.
    """

    model: str
    stage: str
    at: str
    version: str | None
    periods: tuple[Period, ...]
    entries: tuple[Entry, ...]
    uncounted: tuple[int, ...] = ()


@click.command()
@click.argument("model")
@click.option("--at", metavar="DATE", help="What was in the stage then: 2026-05-17, or with a time.")
@click.option(
    "--stage", type=click.Choice(["staging", "production"]), default="production", show_default=True
)
@policy_option
@json_option
def history(model: str, at: str | None, stage: str, policy_file: str | None, as_json: bool) -> None:
    """The ledger of MODEL, and who was in a stage when. A date without a time zone is meant in UTC.

    \b
    Examples:
      mlops registry history blood-cell-classifier
      mlops registry history blood-cell-classifier --at 2026-05-17
    """
    from registry.ledger.entry import Stage
    from registry.ledger.log import read_chain, refuse_ledger
    from registry.ledger.signing import counting
    from registry.ledger.state import periods, state_at
    from registry.stages.shelf import look

    refuse_ledger(model)
    moment = None if at is None else _moment(at)
    client, counts, of = connected(), counting(keys_of(model, policy_file)), Stage(stage.capitalize())
    chain = read_chain(client, model)
    if not chain.entries:
        look(client, model)  # says so where there is no such model
    dated = chain.dated(counts)
    held = state_at(dated, moment).holder(of) if moment else None
    uncounted = tuple(entry.sequence for entry in chain.entries if not counts(entry))
    at = moment.isoformat() if moment else ""
    found = History(model, of, at, held, periods(dated, of), chain.entries, uncounted)
    show(found, as_json, _history_text(found))


def _moment(text: str) -> datetime:
    """A date alone is its end, so that what entered on that day is told."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadSetting("history", "--at", text, "a date as 2026-05-17 or 2026-05-17T12:00") from error
    if "T" not in text and " " not in text:
        given = datetime.combine(given, time.max)
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _history_text(found: History) -> str:
    if found.at:
        holder = f"version {found.version}" if found.version else "no version"
        return f"{found.model}: {holder} was in {found.stage} at {found.at}"
    if not found.entries:
        return f"the ledger of {found.model} has no entries"
    lines = [
        f"{entry.sequence:>4}  {entry.in_words()}"
        + "  [does not count]" * (entry.sequence in found.uncounted)
        for entry in found.entries
    ]
    lines += ["", f"in {found.stage}:"]
    lines += [f"  version {p.version}  {p.since[:19]} to {p.until[:19] or 'now'}" for p in found.periods] or [
        "  never any version"
    ]
    return "\n".join(lines)


@click.command()
@click.argument("model")
@click.option("--no-files", is_flag=True, help="Leave out the models' files and the kept evidence.")
@policy_option
@json_option
def verify(model: str, no_files: bool, policy_file: str | None, as_json: bool) -> None:
    """Walk the ledger of MODEL and name every stage, alias, tag or file changed behind its back.

    Leaves with 1 when something was.

    \b
    Example: mlops registry verify blood-cell-classifier
    """
    from registry.ledger.log import refuse_ledger
    from registry.verify import verify as verified

    refuse_ledger(model)
    found = verified(connected(), model, keys_of(model, policy_file), files=not no_files)
    show(found, as_json, _verify_text(found))
    if not found.well:
        sys.exit(1)


def _verify_text(found: Verified) -> str:
    lines = [f"{fault.what}: {fault.says}" for fault in found.faults]
    lines += [f"note: {note}" for note in found.notes]
    counted = f"{found.entries} entries, {found.versions} versions, {found.files} files"
    said = "all as the ledger says" if found.well else f"{len(found.faults)} faults"
    return "\n".join([*lines, f"{found.model}: {said} ({counted})"])
