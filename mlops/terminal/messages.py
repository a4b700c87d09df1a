"""One-line messages on standard error, which keep a command's own output clean for programs.

Secrets are removed from each, see `mlops.redaction`.
"""

from __future__ import annotations

import click

from mlops.redaction import redact


def note(text: str) -> None:
    """Print what is going on."""
    click.echo(redact(text), err=True)


def warn(text: str) -> None:
    click.echo(f"warning: {redact(text)}", err=True)


def fail(text: str, status: int) -> int:
    """Print an error as one line that names the program; returns `status`, for the process to exit with."""
    click.echo(f"mlops: {redact(' '.join(text.split()))}", err=True)
    return status
