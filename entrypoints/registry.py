"""`mlops registry`: stages, gates, ledger."""

from __future__ import annotations

import click

from entrypoints.lazy import lazy_group

COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("entrypoints.registry_look", "All models by stage."),
    "show": ("entrypoints.registry_show", "One version with everything known about it."),
    "diff": ("entrypoints.registry_show", "What differs between two versions."),
    "history": ("entrypoints.registry_look", "The ledger of a model; what was in a stage on a date."),
    "verify": ("entrypoints.registry_look", "Name whatever was changed behind the ledger's back."),
    "measure": ("entrypoints.registry_measure", "Time a version's file on this machine, for its gates."),
    "promote": ("entrypoints.registry_move", "Take a version to a stage, if its gates pass."),
    "rollback": ("entrypoints.registry_move", "Bring the last good version back to Production."),
    "archive": ("entrypoints.registry_move", "Take a version out of its stage."),
    "approve": ("entrypoints.registry_say", "Say that a version may enter a stage."),
    "reject": ("entrypoints.registry_say", "Say that a version must not enter a stage."),
}


@click.group(cls=lazy_group(COMMANDS))
def registry() -> None:
    """Release models: judge a version by its policy, move it, record who did so, bring one back.

    \b
    Example: mlops registry status
             mlops registry promote blood-cell-classifier 3 --to staging
    """
