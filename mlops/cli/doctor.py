"""`mlops doctor`: check this machine, the store and the outbox."""

from __future__ import annotations

import sys

import click

from mlops.cli.output import json_option, show
from mlops.terminal.tables import aligned


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this machine, the store and the outbox, and print what to fix.

    Exits with status 1 if a check fails.

    \b
    Example: mlops doctor
             mlops doctor --json
    """
    from mlops.files.home import home_folder
    from mlops.store.location import tracking_uri
    from mlops.tracking.doctor import Health, look_over

    findings = look_over(home_folder(), tracking_uri())
    lines = [(f.health.value, f.what, f.says + (f": {f.advice}" if f.advice else "")) for f in findings]
    rows = [{"health": f.health.value, "what": f.what, "says": f.says, "advice": f.advice} for f in findings]
    show(rows, as_json, aligned(lines))
    if any(f.health is Health.FAIL for f in findings):
        sys.exit(1)
