"""Render a report as Markdown, as one HTML page, and as JSON with the source of each value."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from mlops.reports.document import (
    Cell,
    FigureFile,
    MissingSection,
    Report,
    ReportTable,
    Section,
    Text,
    ValueSource,
)

_SPECIAL = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;", "*": r"\*", "`": r"\`"})


def as_markdown(report: Report) -> str:
    lines = [f"# {_escaped(report.title)}", "", _escaped(report.about), ""]
    for section in report.sections:
        if isinstance(section, Section):
            lines += [f"## {section.title}", "", *_blocks(section)]
    missing = [section for section in report.sections if isinstance(section, MissingSection)]
    if missing:
        lines += ["## Omitted", ""]
        lines += [f"- **{each.title}**: {_escaped(each.reason)}" for each in missing]
        lines.append("")
    return "\n".join(lines)


def _blocks(section: Section) -> Iterator[str]:
    for block in section.blocks:
        if isinstance(block, Text):
            yield from (_escaped(block.says), "")
        elif isinstance(block, FigureFile):
            yield from (f"![{_escaped(block.says)}](figures/{block.name}.png)", "")
        else:
            yield from _table(block)


def _table(table: ReportTable) -> Iterator[str]:
    if table.folds:
        caption = html.escape(table.caption or f"{len(table.rows)} rows")
        yield from ("<details>", f"<summary>{caption}</summary>", "")
    elif table.caption:
        yield from (f"{_escaped(table.caption)[:1].upper()}{_escaped(table.caption)[1:]}:", "")
    yield "| " + " | ".join(map(_escaped, table.columns)) + " |"
    yield "|" + "|".join("---:" if right else "---" for right in table.numeric) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_escaped(cell.text) for cell in row) + " |"
    yield ""
    if table.folds:
        yield from ("</details>", "")


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)


def as_page(report: Report, pictures: Mapping[str, Path]) -> str:
    """pictures: the PNG of each figure by name, which is embedded in the page."""
    from jinja2 import Environment, select_autoescape

    source = resources.files("mlops.reports").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["table"] = lambda block: isinstance(block, ReportTable)
    environment.tests["text"] = lambda block: isinstance(block, Text)
    environment.tests["picture"] = lambda block: isinstance(block, FigureFile)
    environment.filters["inlined"] = lambda block: _inlined(pictures[block.name])
    return environment.from_string(source).render(
        report=report,
        sections=[each for each in report.sections if isinstance(each, Section)],
        missing=[each for each in report.sections if isinstance(each, MissingSection)],
    )


def _inlined(file: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")


def as_json(report: Report) -> str:
    """{title, about, sections: [{title, blocks: [...]}], left_out: [{title, reason}]}."""
    held = {
        "title": report.title,
        "about": report.about,
        "sections": [_section(each) for each in report.sections if isinstance(each, Section)],
        "left_out": [
            {"title": each.title, "reason": each.reason}
            for each in report.sections
            if isinstance(each, MissingSection)
        ],
    }
    return json.dumps(held, ensure_ascii=False, allow_nan=False) + "\n"


def _section(section: Section) -> dict[str, Any]:
    return {"title": section.title, "blocks": [_block(block) for block in section.blocks]}


def _block(block: Text | ReportTable | FigureFile) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"text": block.says, "from": _sources(block.sources)}
    if isinstance(block, FigureFile):
        return {"figure": f"figures/{block.name}.png", "says": block.says, "from": _sources(block.sources)}
    rows = [[_cell(cell) for cell in row] for row in block.rows]
    return {"table": block.caption, "columns": list(block.columns), "rows": rows}


def _cell(cell: Cell) -> dict[str, Any]:
    held: dict[str, Any] = {"text": cell.text}
    if cell.value is not None:
        held["value"] = cell.value if math.isfinite(cell.value) else None
    if cell.rule:
        held["rule"] = cell.rule
    if cell.sources:
        held["from"] = _sources(cell.sources)
    return held


def _sources(sources: tuple[ValueSource, ...]) -> list[dict[str, str]]:
    return [{"run": s.run_id, s.kind: s.key, **({"steps": s.steps} if s.steps else {})} for s in sources]
