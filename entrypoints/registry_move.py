"""`mlops registry promote | rollback | archive`: moving a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from entrypoints.output import json_option, show
from entrypoints.registry_options import STAGES, columns, named, opened, override_option, policy_option
from mlops.errors import GateRefused

if TYPE_CHECKING:
    from registry.judgement import Judgement
    from registry.lifecycle import Moved


@click.command()
@click.argument("model")
@click.argument("version")
@click.option("--to", "stage", type=click.Choice(STAGES), required=True, help="The stage to enter.")
@click.option("--why", default="", metavar="TEXT", help="What the ledger is to say about it.")
@click.option("--dry-run", is_flag=True, help="Judge and print the gates; change nothing.")
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
    """Take VERSION (a number or @alias) of MODEL to a stage, if its gates pass; else leave with 3.

    The gates and what they read are kept with the training run, and the move is put into the ledger. The
    version that was there is archived in the same step.

    \b
    Examples:
      mlops registry promote blood-cell-classifier 3 --to staging --why "recall of monocytes"
      mlops registry promote blood-cell-classifier @staging --to production --dry-run
    """
    from registry.ledger.entry import Stage
    from registry.lifecycle import promote as promoted

    scene = opened(model, policy_file, override_reason)
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
@click.argument("model")
@click.option("--to", "version", default="", metavar="VERSION", help="This one, not the last good one.")
@click.option("--why", default="", metavar="TEXT", help="What the ledger is to say about it.")
@override_option
@policy_option
@json_option
def rollback(
    model: str, version: str, why: str, override_reason: str, policy_file: str | None, as_json: bool
) -> None:
    """Bring the last good version of MODEL back to Production, its gates read again.

    Good is what was in Production before and was neither rolled back from, nor archived from there, nor
    rejected for it since.

    \b
    Example: mlops registry rollback blood-cell-classifier --why "misses blasts"
    """
    from registry.lifecycle import rollback as rolled_back

    scene = opened(model, policy_file, override_reason)
    moved = rolled_back(scene, to=named(scene, version), why=why, override_reason=override_reason)
    _tell(moved, as_json)


@click.command()
@click.argument("model")
@click.argument("version")
@click.option("--why", default="", metavar="TEXT", help="What the ledger is to say about it.")
@policy_option
@json_option
def archive(model: str, version: str, why: str, policy_file: str | None, as_json: bool) -> None:
    """Take VERSION of MODEL out of whatever stage it is in.

    \b
    Example: mlops registry archive railway-detector 2 --why "camera was replaced"
    """
    from registry.lifecycle import archive as archived

    scene = opened(model, policy_file)
    _tell(archived(scene, named(scene, version), why=why), as_json)


def _tell(moved: Moved, as_json: bool, *, dry_run: bool = False) -> None:
    """Print what was done. Raises GateRefused where the gates kept the version out."""
    from registry.judgement import refused

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
            lines.append(f"version {moved.replaced} was in {entry.to_stage} and is Archived now")
        lines.append(f"ledger entry {entry.sequence}, {entry.digest[:16]}")
    elif dry_run and moved.judged is not None and moved.judged.passed:
        lines.append(f"{moved.judged.evidence.name} may enter {moved.judged.stage}; nothing was changed")
    return "\n".join(lines)


def gate_table(judged: Judgement) -> list[str]:
    """One line a gate, then the sentences of those that refuse."""
    from registry.judgement import verdict

    rows = [("gate", "measured", "limit", "result")]
    rows += [(r.gate, r.figure, r.limit, verdict(r)) for r in judged.results]
    return [columns(rows), *(f"  refused: {result.says}" for result in judged.refusing)]
