"""`mlops registry status | history | verify | show | diff`: read-only commands."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import click

from mlops.cli import output
from mlops.cli.output import json_option
from mlops.cli.registry.options import keys_of, model_argument, number_of, policy_option
from mlops.errors import BadSetting
from mlops.store.client import connect
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from registry.ledger.entry import LedgerEntry
    from registry.ledger.state import Period
    from registry.stages.model_overview import Differs, ModelStatus, Placed, VersionOverview
    from registry.stages.verify import VerifiedModel


@click.command()
@click.argument("model", required=False)
@json_option
def status(model: str | None, as_json: bool) -> None:
    """List all models by stage: version, metric and age, and drift between MLflow's stages, aliases and tags.

    \b
    Examples:
      mlops registry status
      mlops registry status railway-detector --json
    """
    from registry.stages.model_overview import status as statuses

    found = statuses(connect(), model)
    output.show(found, as_json, _status_text(found))


def _status_text(found: tuple[ModelStatus, ...]) -> str:
    if not found:
        return "no registered models; train one with `mlops train`"
    rows: list[tuple[str, ...]] = [("model", "Production", "Staging", "newest", "drift")]
    rows += [
        (m.model, _placed(m.production), _placed(m.staging), _placed(m.newest), m.drift or "-") for m in found
    ]
    return aligned(rows)


def _placed(placed: Placed | None) -> str:
    if placed is None:
        return "-"
    figures = "".join(f" {n.removeprefix('test/')} {v:.3f}" for n, v in list(placed.metrics.items())[:1])
    return f"{placed.version}{figures} ({_age(placed.age_days)})"


def _age(days: float) -> str:
    return f"{days:.0f} d" if days >= 1 else f"{days * 24:.0f} h"


@dataclass(frozen=True, slots=True)
class LedgerHistory:
    """version: the version in the stage at the given time; None if there was none, or without a time.

    uncounted: sequence numbers of the entries that are not signed by a key of the policy.
    """

    model: str
    stage: str
    at: str
    version: str | None
    periods: tuple[Period, ...]
    entries: tuple[LedgerEntry, ...]
    uncounted: tuple[int, ...] = ()


@click.command()
@model_argument
@click.option("--at", metavar="DATE", help="Show the version in the stage at this date or ISO time.")
@click.option(
    "--stage",
    type=click.Choice(["staging", "production"]),
    default="production",
    show_default=True,
    help="Stage to show.",
)
@policy_option
@json_option
def history(model: str, at: str | None, stage: str, policy_file: str | None, as_json: bool) -> None:
    """Show the ledger of MODEL, and which versions were in a stage when. Times are in UTC by default.

    \b
    Examples:
      mlops registry history blood-cell-classifier
      mlops registry history blood-cell-classifier --at 2026-05-17
    """
    from registry.ledger.entry import Stage
    from registry.ledger.log import read_chain, refuse_ledger
    from registry.ledger.signing import counting
    from registry.ledger.state import periods, state_at
    from registry.stages.mlflow_state import look

    refuse_ledger(model)
    moment = None if at is None else _moment(at)
    client, counts, of = connect(), counting(keys_of(model, policy_file)), Stage(stage.capitalize())
    chain = read_chain(client, model)
    if not chain.entries:
        look(client, model)  # raises if the model does not exist
    dated = chain.dated(counts)
    held = state_at(dated, moment).holder(of) if moment else None
    uncounted = tuple(entry.sequence for entry in chain.entries if not counts(entry))
    at = moment.isoformat() if moment else ""
    found = LedgerHistory(model, of, at, held, periods(dated, of), chain.entries, uncounted)
    output.show(found, as_json, _history_text(found))


def _moment(text: str) -> datetime:
    """A date without a time is the end of that day."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadSetting("history", "--at", text, "a date such as 2026-05-17 or 2026-05-17T12:00") from error
    if "T" not in text and " " not in text:
        given = datetime.combine(given, time.max)
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _history_text(found: LedgerHistory) -> str:
    if found.at:
        holder = f"version {found.version}" if found.version else "no version"
        return f"{found.model}: {holder} was in {found.stage} at {found.at}"
    if not found.entries:
        return f"the ledger of {found.model} is empty"
    rows = [
        (str(entry.sequence), entry.in_words() + "  [does not count]" * (entry.sequence in found.uncounted))
        for entry in found.entries
    ]
    lines = [aligned(rows, right=[0]), "", f"in {found.stage}:"]
    lines += [f"  version {p.version}  {p.since[:19]} to {p.until[:19] or 'now'}" for p in found.periods] or [
        "  no version so far"
    ]
    return "\n".join(lines)


@click.command()
@model_argument
@click.option("--no-files", is_flag=True, help="Skip model files and stored evidence.")
@policy_option
@json_option
def verify(model: str, no_files: bool, policy_file: str | None, as_json: bool) -> None:
    """Verify the ledger of MODEL, and find stages, aliases, tags and files that were changed outside it.

    Exits with status 1 if there are faults.

    \b
    Example: mlops registry verify blood-cell-classifier
    """
    from registry.ledger.log import refuse_ledger
    from registry.stages.verify import verify as verified

    refuse_ledger(model)
    found = verified(connect(), model, keys_of(model, policy_file), files=not no_files)
    output.show(found, as_json, _verify_text(found))
    if not found.well:
        sys.exit(1)


def _verify_text(found: VerifiedModel) -> str:
    lines = [f"{fault.what}: {fault.says}" for fault in found.faults]
    lines += [f"note: {note}" for note in found.notes]
    counted = f"{found.entries} entries, {found.versions} versions, {found.files} files"
    said = "no faults" if found.well else f"{len(found.faults)} faults"
    return "\n".join([*lines, f"{found.model}: {said} ({counted})"])


@click.command()
@model_argument
@click.argument("version")
@output.json_option
def show(model: str, version: str, as_json: bool) -> None:
    """Show everything recorded about VERSION (a number or @alias) of MODEL.

    \b
    Example: mlops registry show blood-cell-classifier @production
    """
    from registry.stages.model_overview import facts

    client = connect()
    known = facts(client, model, number_of(client, model, version))
    output.show(known, as_json, _facts_text(known))


def _facts_text(known: VersionOverview) -> str:
    aliases = "".join(f" @{alias}" for alias in known.aliases)
    lines = [
        f"{known.model} version {known.version}, {known.stage}{aliases}",
        f"registered {known.created}, trained by {known.trained_by or 'unknown'}, run {known.run_id or '-'}",
        f"files {known.source}",
    ]
    for title, values in (("tags", known.tags), ("params", known.params)):
        lines += ["", title, *(f"  {name}  {value}" for name, value in sorted(values.items()))]
    metrics = {n: v for n, v in known.metrics.items() if n.startswith(("test/", "best/"))}
    lines += ["", "metrics", *(f"  {name}  {value:.6g}" for name, value in sorted(metrics.items()))]
    lines += ["", "ledger", *(f"  {e.sequence}  {e.in_words()}" for e in known.entries)]
    return "\n".join(lines)


@click.command()
@model_argument
@click.argument("first")
@click.argument("second")
@output.json_option
def diff(model: str, first: str, second: str, as_json: bool) -> None:
    """Show the differences between two versions of MODEL: params, data, code, metrics.

    \b
    Example: mlops registry diff railway-detector @production 7
    """
    from registry.stages.model_overview import diff as differing
    from registry.stages.model_overview import facts

    client = connect()
    one, other = (facts(client, model, number_of(client, model, v)) for v in (first, second))
    found = differing(one, other)
    output.show(found, as_json, _diff_text(found, one.version, other.version))


def _diff_text(found: tuple[Differs, ...], first: str, second: str) -> str:
    if not found:
        return f"versions {first} and {second} have no recorded differences"
    rows: list[tuple[str, ...]] = [("", "", f"version {first}", f"version {second}")]
    rows += [(d.kind, d.name, _short(d.first), _short(d.second)) for d in found]
    return aligned(rows)


def _short(text: str) -> str:
    return (text if len(text) <= 40 else text[:39] + "…") or "-"
