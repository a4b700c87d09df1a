"""`mlops registry`: stages, gates, ledger."""

from __future__ import annotations

import click

from mlops.cli.lazy_group import lazy_group

COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("mlops.cli.registry.views", "List all models by stage."),
    "show": ("mlops.cli.registry.views", "Show everything recorded about one version."),
    "diff": ("mlops.cli.registry.views", "Show the differences between two versions."),
    "history": ("mlops.cli.registry.views", "Show a model's ledger, or the version in a stage on a date."),
    "verify": ("mlops.cli.registry.views", "Find changes that were made outside the ledger."),
    "measure": ("mlops.cli.registry.moves", "Measure a version's latency on this machine."),
    "promote": ("mlops.cli.registry.moves", "Promote a version to a stage if its gates pass."),
    "rollback": ("mlops.cli.registry.moves", "Restore the last good version to Production."),
    "archive": ("mlops.cli.registry.moves", "Remove a version from its stage."),
    "approve": ("mlops.cli.registry.moves", "Approve a version for a stage."),
    "reject": ("mlops.cli.registry.moves", "Reject a version for a stage."),
}


@click.group(cls=lazy_group(COMMANDS))
def registry() -> None:
    """Release models: judge versions by policy, change stages, record who did it, roll back.

    \b
    Example: mlops registry status
             mlops registry promote blood-cell-classifier 3 --to staging
    """
