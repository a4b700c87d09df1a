"""`mlops registry approve | reject`: a person's word on a version."""

from __future__ import annotations

from pathlib import Path

import click

from entrypoints.output import json_option, show
from entrypoints.registry_options import STAGES, named, opened, policy_option
from mlops.errors import BadSetting


@click.command()
@click.argument("model")
@click.argument("version")
@click.option(
    "--for", "stage", type=click.Choice(STAGES), default="production", show_default=True, help="Which stage."
)
@click.option("--comment", default="", metavar="TEXT", help="What was looked at.")
@click.option(
    "--evidence", metavar="FILE", help="Verdicts that a reviewer saved from the page of `mlops evaluate`."
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
    """Say that VERSION of MODEL may enter a stage, with its files as they are now.

    Who trained it does not count as an approver. You are whom the tracking server lets in, else who
    MLOPS_USER says, else this machine's user.

    \b
    Examples:
      mlops registry approve blood-cell-classifier 3 --comment "looked at 200 errors"
      mlops registry approve oct-detector 2 --evidence verdicts-oct-detector-2-test.json
    """
    _say(model, version, "approve", stage, comment, policy_file, as_json, evidence)


@click.command()
@click.argument("model")
@click.argument("version")
@click.option(
    "--for", "stage", type=click.Choice(STAGES), default="production", show_default=True, help="Which stage."
)
@click.option("--comment", required=True, metavar="TEXT", help="What is wrong with it.")
@policy_option
@json_option
def reject(
    model: str, version: str, stage: str, comment: str, policy_file: str | None, as_json: bool
) -> None:
    """Say that VERSION of MODEL must not enter a stage.

    \b
    Example: mlops registry reject blood-cell-classifier 3 --comment "takes platelets for debris"
    """
    if not comment.strip():
        raise BadSetting("registry reject", "--comment", comment, "what is wrong with it, in words")
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
    from registry.lifecycle import give_verdict

    scene = opened(model, policy_file)
    about, digest = scene.version(named(scene, version)), ""
    if evidence:
        from registry.reviewed import keep_verdicts, read_verdicts

        reviewed = read_verdicts(scene.client, model, about, Path(evidence))
        keep_verdicts(scene.client, model, about, reviewed)
        comment = f"{comment}; {reviewed.in_words()}" if comment else reviewed.in_words()
        digest = reviewed.digest
    said = give_verdict(scene, about, Action(action), Stage(stage.capitalize()), comment, digest)
    lines = [f"note: {says}" for says in said.found]
    if said.entry is not None:
        lines.append(f"{model}: {said.entry.in_words()} (ledger entry {said.entry.sequence})")
    show(said, as_json, "\n".join(lines))
