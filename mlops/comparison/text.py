"""A comparison as text for a terminal and as Markdown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops.comparison.comparison_result import Comparison
from mlops.comparison.formatting import TextTable, growth_in_words, mcnemar_in_words, tables_of

if TYPE_CHECKING:
    from rich.table import Table as RichTable

_PLAIN_WIDTH = 200  # for files and pipes
_ROOM_FOR_ALL = 116
_FEW_COLUMNS = 5
_SPARED = ("relative", "p (Holm)")


def as_text(found: Comparison, *, width: int | None = None, colour: bool = False) -> str:
    """width: of the terminal in characters; None for a file or a pipe."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out,
        width=width or _PLAIN_WIDTH,
        force_terminal=colour,
        highlight=False,
        no_color=not colour,
        emoji=False,
        markup=False,
    )
    console.print(_tested_on(found))
    for against in found.candidates:
        console.print(f"\n{against.candidate.name} against {found.baseline.name}", style="bold")
        for table in tables_of(found, against, ("baseline", "candidate")):
            console.print(_drawn(table, narrow=console.width < _ROOM_FOR_ALL))
        for line in (mcnemar_in_words(against), growth_in_words(against)):
            if line:
                console.print(line)
        for each in against.undefined:
            console.print(f"{each.figure} is omitted: {each.why}.")
    console.print(f"\nRecommended: {found.recommendation.choice}", style="bold")
    for says in (*found.recommendation.says, "", *found.notes):
        console.print(says)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def _drawn(table: TextTable, *, narrow: bool) -> RichTable:
    """narrow: without redundant columns, and with less padding."""
    from rich.box import SIMPLE
    from rich.table import Table as Drawn

    spared = _SPARED if narrow and len(table.head) > _FEW_COLUMNS else ()
    shown = [at for at, head in enumerate(table.head) if head not in spared]
    drawn = Drawn(
        title=table.title,
        title_justify="left",
        title_style="italic",
        box=None if narrow else SIMPLE,
        padding=(0, 1, 0, 0) if narrow else (0, 1),
    )
    for at in shown:
        if 0 < at < len(table.head) - 1:
            drawn.add_column(table.head[at], justify="right", no_wrap=True)
        else:
            drawn.add_column(table.head[at], min_width=len("distinguishable") if at else 12, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(row[at] for at in shown), style=_style(row[-1]))
    return drawn


def as_markdown(found: Comparison, picture: str = "") -> str:
    """picture: file name of the plot, "" for none."""
    lines = [f"# {found.baseline.name} and {', '.join(a.candidate.name for a in found.candidates)}", ""]
    lines += [_tested_on(found), "", f"**Recommended: {found.recommendation.choice}.**", ""]
    lines += [*(f"- {says}" for says in found.recommendation.says), ""]
    if picture:
        lines += [f"![Differences from {found.baseline.name} with their intervals]({picture})", ""]
    for against in found.candidates:
        lines += [f"## {against.candidate.name} against {found.baseline.name}", ""]
        for table in tables_of(found, against, (found.baseline.name, against.candidate.name)):
            lines += _markdown(table)
        said = [mcnemar_in_words(against), growth_in_words(against)]
        said += [f"{each.figure} is omitted: {each.why}." for each in against.undefined]
        lines += [line for text in said if text for line in (text, "")]
    lines += ["## How to read this", "", *(f"- {note}" for note in found.notes), "", *_origin(found), ""]
    return "\n".join(lines)


def _tested_on(found: Comparison) -> str:
    counted = " and ".join(
        f"{number:,} images" + (f" ({kind})" if len(found.pictures) > 1 else "")
        for kind, number in found.pictures.items()
    )
    return (
        f"On the same {counted} of {found.tested or 'the data'} ({found.split} split, digest "
        f"{found.tested_digest[:12] or 'unknown'}); {found.settings.draws:,} paired bootstrap draws, "
        f"seed {found.settings.seed}, margin {found.settings.margin:g}. {found.primary} (*) decides."
    )


def _markdown(table: TextTable) -> list[str]:
    numbers = len(table.head) - 2
    lines = [f"### {table.title}", "", _row(table.head), "|---|" + "---:|" * numbers + "---|"]
    lines += [_row(row) for row in table.rows]
    if len(table.rows) > _LONG:
        lines = [f"<details><summary>{table.title}</summary>", "", *lines[2:], "", "</details>"]
    return [*lines, ""]


_LONG = 15


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _origin(found: Comparison) -> list[str]:
    """The runs of each configuration."""
    parties = [found.baseline, *(against.candidate for against in found.candidates)]
    return [
        "| | MLflow runs | seeds | recipe | trained on |",
        "|---|---|---|---|---|",
        *(
            _row(
                (
                    party.name,
                    ", ".join(party.runs),
                    ", ".join(party.seeds),
                    party.recipe[:12],
                    party.trained_digest[:12],
                )
            )
            for party in parties
        ),
    ]


def _style(verdict: str) -> str:
    return {"better": "green", "worse": "red"}.get(verdict, "")
