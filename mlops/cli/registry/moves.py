"""`mlops registry promote | rollback | archive | approve | reject | measure`: commands that write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import MOST_CALLS, MOST_PROCESSES
from mlops.cli.registry.options import (
    STAGES,
    model_argument,
    named,
    number_of,
    opened,
    override_option,
    policy_option,
    public_text,
)
from mlops.errors import BadSetting, GateRefused
from mlops.files.regular_files import refuse_odd
from mlops.store.client import connect
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from registry.stages.judgement import Judgement
    from registry.stages.lifecycle import Moved


@click.command()
@model_argument
@click.argument("version")
@click.option("--to", "stage", type=click.Choice(STAGES), required=True, help="Target stage.")
@click.option("--why", default="", metavar="TEXT", callback=public_text, help="Comment for the ledger.")
@click.option("--dry-run", is_flag=True, help="Evaluate and print the gates; change nothing.")
@override_option
@policy_option
@json_option
def promote(
    model: str,
    version: str,
    stage: str,
    why: str,
    dry_run: bool,
    override_reason: str,
    policy_file: str | None,
    as_json: bool,
) -> None:
    """Promote VERSION (a number or @alias) of MODEL to a stage if its gates pass.

    The gate results and their evidence are logged to the training run, and the change is recorded in the
    ledger. The version that was in the stage is archived in the same step. Exits with status 3 if a gate
    refuses.

    \b
    Examples:
      mlops registry promote blood-cell-classifier 3 --to staging --why "recall of monocytes"
      mlops registry promote blood-cell-classifier @staging --to production --dry-run
    """
    from registry.ledger.entry import Stage
    from registry.stages.lifecycle import promote as promoted

    scene = opened(model, policy_file, override_reason, only_read=dry_run)
    moved = promoted(
        scene,
        named(scene, version),
        Stage(stage.capitalize()),
        why=why,
        override_reason=override_reason,
        dry_run=dry_run,
    )
    _tell(moved, as_json, dry_run=dry_run)


@click.command()
@model_argument
@click.option(
    "--to", "version", default="", metavar="VERSION", help="Version to restore.  [default: the last good one]"
)
@click.option("--why", default="", metavar="TEXT", callback=public_text, help="Comment for the ledger.")
@override_option
@policy_option
@json_option
def rollback(
    model: str, version: str, why: str, override_reason: str, policy_file: str | None, as_json: bool
) -> None:
    """Restore the last good version of MODEL to Production, after evaluating its gates again.

    A good version was in Production before and since then was not rolled back, archived from Production or
    rejected for Production. Exits with status 3 if a gate refuses.

    \b
    Example: mlops registry rollback blood-cell-classifier --why "misses blasts"
    """
    from registry.stages.lifecycle import rollback as rolled_back

    scene = opened(model, policy_file, override_reason)
    moved = rolled_back(scene, to=named(scene, version), why=why, override_reason=override_reason)
    _tell(moved, as_json)


@click.command()
@model_argument
@click.argument("version")
@click.option("--why", default="", metavar="TEXT", callback=public_text, help="Comment for the ledger.")
@policy_option
@json_option
def archive(model: str, version: str, why: str, policy_file: str | None, as_json: bool) -> None:
    """Remove VERSION (a number or @alias) of MODEL from its stage.

    \b
    Example: mlops registry archive railway-detector 2 --why "camera was replaced"
    """
    from registry.stages.lifecycle import archive as archived

    scene = opened(model, policy_file)
    _tell(archived(scene, named(scene, version), why=why), as_json)


def _tell(moved: Moved, as_json: bool, *, dry_run: bool = False) -> None:
    """Print what was done. Raises GateRefused if a gate refused."""
    from registry.stages.judgement import refused

    show(moved, as_json, _as_text(moved, dry_run))
    judged = moved.judged
    if judged is not None and moved.entry is None and not judged.passed:
        raise GateRefused(refused(judged))


def _as_text(moved: Moved, dry_run: bool) -> str:
    lines = [f"note: {says}" for says in moved.found]
    if moved.judged is not None:
        lines += [*gate_table(moved.judged), ""]
    entry = moved.entry
    if entry is not None:
        lines.append(f"{entry.model}: {entry.in_words()}")
        if moved.replaced and moved.replaced != entry.version:
            lines.append(f"version {moved.replaced} was in {entry.to_stage} and is now Archived")
        lines.append(f"ledger entry {entry.sequence}, {entry.digest[:16]}")
    elif dry_run and moved.judged is not None and moved.judged.passed:
        lines.append(
            f"{moved.judged.evidence.name} passes the gates of {moved.judged.stage}; dry run, nothing changed"
        )
    return "\n".join(lines)


def gate_table(judged: Judgement) -> list[str]:
    """One line per gate, then the message of each gate that refuses."""
    from registry.stages.judgement import verdict

    rows = [("gate", "measured", "limit", "result")]
    rows += [(r.gate, r.figure, r.limit, verdict(r)) for r in judged.results]
    return [aligned(rows), *(f"  refused: {result.says}" for result in judged.refusing)]


@click.command()
@model_argument
@click.argument("version")
@click.option(
    "--for", "stage", type=click.Choice(STAGES), default="production", show_default=True, help="Stage."
)
@click.option("--comment", default="", metavar="TEXT", callback=public_text, help="What you reviewed.")
@click.option(
    "--evidence", metavar="FILE", help="Verdicts file saved from the review page of `mlops evaluate`."
)
@policy_option
@json_option
def approve(
    model: str,
    version: str,
    stage: str,
    comment: str,
    evidence: str | None,
    policy_file: str | None,
    as_json: bool,
) -> None:
    """Approve VERSION (a number or @alias) of MODEL for a stage, with its files as they are now.

    An approval by the person who trained the version does not count. Your name is your login on the tracking
    server, else MLOPS_USER, else the user of this machine.

    \b
    Examples:
      mlops registry approve blood-cell-classifier 3 --comment "looked at 200 errors"
      mlops registry approve oct-detector 2 --evidence verdicts-oct-detector-2-test.json
    """
    if evidence:
        refuse_odd(Path(evidence), "--evidence")
    _say(model, version, "approve", stage, comment, policy_file, as_json, evidence)


@click.command()
@model_argument
@click.argument("version")
@click.option(
    "--for", "stage", type=click.Choice(STAGES), default="production", show_default=True, help="Stage."
)
@click.option(
    "--comment", required=True, metavar="TEXT", callback=public_text, help="Reason for the rejection."
)
@policy_option
@json_option
def reject(
    model: str, version: str, stage: str, comment: str, policy_file: str | None, as_json: bool
) -> None:
    """Reject VERSION (a number or @alias) of MODEL for a stage.

    \b
    Example: mlops registry reject blood-cell-classifier 3 --comment "takes platelets for debris"
    """
    if not comment.strip():
        raise BadSetting("registry reject", "--comment", comment, "a reason that is not blank")
    _say(model, version, "reject", stage, comment, policy_file, as_json)


def _say(
    model: str,
    version: str,
    action: str,
    stage: str,
    comment: str,
    policy_file: str | None,
    as_json: bool,
    evidence: str | None = None,
) -> None:
    from registry.ledger.entry import Action, Stage
    from registry.stages.lifecycle import give_verdict

    scene = opened(model, policy_file)
    about, digest = scene.version(named(scene, version)), ""
    if evidence:
        from registry.stages.reviews import keep_verdicts, read_verdicts

        reviewed = read_verdicts(scene.client, model, about, Path(evidence))
        keep_verdicts(scene.client, model, about, reviewed)
        comment = f"{comment}; {reviewed.in_words()}" if comment else reviewed.in_words()
        digest = reviewed.digest
    said = give_verdict(scene, about, Action(action), Stage(stage.capitalize()), comment, digest)
    lines = [f"note: {says}" for says in said.found]
    if said.entry is not None:
        lines.append(f"{model}: {said.entry.in_words()} (ledger entry {said.entry.sequence})")
    show(said, as_json, "\n".join(lines))


@click.command()
@model_argument
@click.argument("version")
@click.option(
    "--calls", type=click.IntRange(20, MOST_CALLS), default=100, show_default=True, help="Calls to time."
)
@click.option(
    "--threads",
    type=click.IntRange(0, MOST_PROCESSES),
    default=0,
    show_default=True,
    help="Threads of ONNX Runtime; 0: as many as this machine or container gives.",
)
@json_option
def measure(model: str, version: str, calls: int, threads: int, as_json: bool) -> None:
    """Measure the CPU latency of VERSION (a number or @alias) of MODEL on this machine.

    Times the version's ONNX file and stores the result with the version, for latency gates.

    \b
    Example: mlops registry measure blood-cell-classifier 3
    """
    from registry.evidence.latency import measure_version
    from registry.stages.late_registration import register_late

    client = connect()
    number = number_of(client, model, version)
    register_late(client, model)
    found = measure_version(client, model, number, calls=calls, threads=threads)
    says = (
        f"{model}/{number}: p50 {found.p50_ms:.2f} ms, p95 {found.p95_ms:.2f} ms of {found.calls} calls, "
        f"{found.size_bytes / 1e6:.2f} MB, on {found.device}"
    )
    show(found, as_json, says)
