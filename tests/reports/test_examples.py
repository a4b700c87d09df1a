"""The examples in docs/: reports of real runs, as `mlops report` wrote them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.reports.trace import cells_of

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", NAMES)
def test_every_number_in_the_tables_is_one_with_a_source(name: str) -> None:
    """A cell of the Markdown that is a figure is a cell of the JSON beside it, which names where it was read;
    `tests.reports.trace` found each there when the example was made."""
    report = json.loads((EXAMPLES / name / "report.json").read_text())
    traced = {cell["text"] for cell in cells_of(report) if cell.get("from") or cell.get("rule") == "epoch"}
    lines = (EXAMPLES / name / "report.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ")[1:] for line in lines if line.startswith("| ")]
    figures = {
        cell for row in rows for cell in row if re.fullmatch(r"[+-]?\d[\d.,]*( (%|points|s|min|h|MB))?", cell)
    }
    assert len(figures) > 100
    assert figures - traced <= {"2 points"}  # a threshold


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_there_and_nothing_else(name: str) -> None:
    named = set(re.findall(r"\]\((figures/[^)]+)\)", (EXAMPLES / name / "report.md").read_text()))
    held = {
        path.relative_to(EXAMPLES / name).as_posix()
        for path in (EXAMPLES / name).rglob("*")
        if path.is_file()
    }
    assert held == {*named, "report.md", "report.json"}


def test_examples_are_small() -> None:
    assert NAMES == ["pbc_bloodmnist28", "railfod23"]
    assert sum(path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file()) < 1_000_000
