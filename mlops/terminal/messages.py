"""One-line messages on standard error, which keep a command's own output clean for programs.

Secrets are removed from each, see `mlops.redaction`.
"""

from __future__ import annotations

import click

from mlops.redaction import redact

_LONGEST_WORD, _LONGEST = 400, 4000  # characters; a path has at most 4096, and rarely 300


def note(text: str) -> None:
    """Print what is going on."""
    click.echo(redact(text), err=True)


def warn(text: str) -> None:
    click.echo(f"warning: {in_one_line(redact(text))}", err=True)


def fail(text: str, status: int) -> int:
    """Print an error as one line that names the program; returns `status`, for the process to exit with."""
    click.echo(f"mlops: {in_one_line(redact(text))}", err=True)
    return status


def in_one_line(text: str) -> str:
    """`text` with long words and long lists cut, and control characters as escapes.

    >>> in_one_line("cannot  read " + 1000 * "a")[:19], len(in_one_line(5000 * "ab "))
    ('cannot read aaaaaaa', 4012)
    """
    words = (word if len(word) <= _LONGEST_WORD else f"{word[:200]}...{word[-60:]}" for word in text.split())
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(words))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} [shortened]"
