"""Rows of cells as aligned text."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Collection, Sequence

_UNLIMITED = 10_000  # characters: a file or a pipe takes a row of any length
_GAP = 2
_LEAST_ROOM = 20  # for a last column that is folded


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = (), indent: int = 0) -> str:
    """`rows`, each column as wide as its widest cell, without colours or lines.

    right: columns (from 0) that are aligned at the right, as numbers are. indent: spaces before each row.
    On a terminal with room for the other columns, a long last cell is continued below itself. Elsewhere each
    row is one line.

    >>> print(aligned([("gate", "limit"), ("recall", "0.9")], right=[1]))
    gate    limit
    recall    0.9
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table

    columns = max(map(len, rows), default=0)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    for column in range(columns):
        last = column == columns - 1
        table.add_column(justify="right" if column in right else "left", no_wrap=not last, overflow="fold")
    for row in rows:
        table.add_row(*map(_printable, row))
    before = [max(cell_len(row[c]) for row in rows if c < len(row)) + _GAP for c in range(columns - 1)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED
    if width - indent - sum(before) < _LEAST_ROOM:
        width = _UNLIMITED
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, markup=False, emoji=False, highlight=False)
    console.print(Padding(table, (0, 0, 0, indent), expand=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _printable(cell: str) -> str:
    """Without line breaks and other control characters, which would break the table or drive the terminal."""
    return "".join(character if character.isprintable() else " " for character in cell)
