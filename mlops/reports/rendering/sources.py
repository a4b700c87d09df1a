"""A report as JSON: every figure with the run, the metric and the epochs that it was read from."""

from __future__ import annotations

import json
import math
from typing import Any

from mlops.reports.document import Cell, Missing, Picture, Report, Section, Source, Table, Text


def as_json(report: Report) -> str:
    """{title, about, sections: [{title, blocks: [...]}], left_out: [{title, reason}]}."""
    held = {
        "title": report.title,
        "about": report.about,
        "sections": [_section(each) for each in report.sections if isinstance(each, Section)],
        "left_out": [
            {"title": each.title, "reason": each.reason}
            for each in report.sections
            if isinstance(each, Missing)
        ],
    }
    return json.dumps(held, ensure_ascii=False, allow_nan=False) + "\n"


def _section(section: Section) -> dict[str, Any]:
    return {"title": section.title, "blocks": [_block(block) for block in section.blocks]}


def _block(block: Text | Table | Picture) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"text": block.says, "from": _sources(block.sources)}
    if isinstance(block, Picture):
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


def _sources(sources: tuple[Source, ...]) -> list[dict[str, str]]:
    return [{"run": s.run_id, s.kind: s.key, **({"steps": s.steps} if s.steps else {})} for s in sources]
