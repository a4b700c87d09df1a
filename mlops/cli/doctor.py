"""`mlops doctor`: look over this machine, the store and the outbox."""

from __future__ import annotations

import sys

import click

from mlops.cli.output import json_option, show
from mlops.terminal.tables import aligned


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look over this machine, the store and the outbox; each line says what to do.

    Leaves with 1 when a line says fail.

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
