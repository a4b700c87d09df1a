"""A report as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from mlops.reports.document import Missing, Picture, Report, Section, Table, Text


def as_page(report: Report, pictures: Mapping[str, Path]) -> str:
    """pictures: each figure's name to its PNG, which is put into the page."""
    from jinja2 import Environment, select_autoescape

    source = resources.files("mlops.reports.rendering").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["text"] = lambda block: isinstance(block, Text)
    environment.tests["picture"] = lambda block: isinstance(block, Picture)
    environment.filters["inlined"] = lambda block: _inlined(pictures[block.name])
    return environment.from_string(source).render(
        report=report,
        sections=[each for each in report.sections if isinstance(each, Section)],
        missing=[each for each in report.sections if isinstance(each, Missing)],
    )


def _inlined(file: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")
