"""A report as Markdown: tables with pipes, long ones folded, figures as links to `figures/`."""

from __future__ import annotations

import html
from collections.abc import Iterator

from mlops.reports.document import Missing, Picture, Report, Section, Table, Text

_SPECIAL = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;", "*": r"\*", "`": r"\`"})


def as_markdown(report: Report) -> str:
    lines = [f"# {_cell(report.title)}", "", _cell(report.about), ""]
    for section in report.sections:
        if isinstance(section, Section):
            lines += [f"## {section.title}", "", *_blocks(section)]
    missing = [section for section in report.sections if isinstance(section, Missing)]
    if missing:
        lines += ["## Left out", ""]
        lines += [f"- **{each.title}**: {_cell(each.reason)}" for each in missing]
        lines.append("")
    return "\n".join(lines)


def _blocks(section: Section) -> Iterator[str]:
    for block in section.blocks:
        if isinstance(block, Text):
            yield from (_cell(block.says), "")
        elif isinstance(block, Picture):
            yield from (f"![{_cell(block.says)}](figures/{block.name}.png)", "")
        else:
            yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    if table.folds:
        caption = html.escape(table.caption or f"{len(table.rows)} rows")
        yield from ("<details>", f"<summary>{caption}</summary>", "")
    elif table.caption:
        yield from (f"{_cell(table.caption)[:1].upper()}{_cell(table.caption)[1:]}:", "")
    yield "| " + " | ".join(map(_cell, table.columns)) + " |"
    yield "|" + "|".join("---:" if right else "---" for right in table.numeric) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_cell(cell.text) for cell in row) + " |"
    yield ""
    if table.folds:
        yield from ("</details>", "")


def _cell(text: str) -> str:
    return text.translate(_SPECIAL)
