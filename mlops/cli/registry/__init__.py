"""`mlops registry`: stages, gates, ledger."""

from __future__ import annotations

import click

from mlops.cli.lazy_group import lazy_group

COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("mlops.cli.registry.views", "All models by stage."),
    "show": ("mlops.cli.registry.views", "One version with everything known about it."),
    "diff": ("mlops.cli.registry.views", "What differs between two versions."),
    "history": ("mlops.cli.registry.views", "The ledger of a model; what was in a stage on a date."),
    "verify": ("mlops.cli.registry.views", "Name whatever was changed behind the ledger's back."),
    "measure": ("mlops.cli.registry.moves", "Time a version's file on this machine, for its gates."),
    "promote": ("mlops.cli.registry.moves", "Take a version to a stage, if its gates pass."),
    "rollback": ("mlops.cli.registry.moves", "Bring the last good version back to Production."),
    "archive": ("mlops.cli.registry.moves", "Take a version out of its stage."),
    "approve": ("mlops.cli.registry.moves", "Say that a version may enter a stage."),
    "reject": ("mlops.cli.registry.moves", "Say that a version must not enter a stage."),
}


@click.group(cls=lazy_group(COMMANDS))
def registry() -> None:
    """Release models: judge a version by its policy, move it, record who did so, bring one back.

    \b
    Example: mlops registry status
             mlops registry promote blood-cell-classifier 3 --to staging
    """
