"""What a report says, looked up as a reader would."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.reports.document import Cell, MissingSection, Report, ReportTable, Section, Text


@dataclass(frozen=True)
class Told:
    report: Report

    def section(self, title: str) -> Section:
        found = next(each for each in self.report.sections if each.title == title)
        assert isinstance(found, Section), f"{title} is left out: {found}"
        return found

    def left_out(self, title: str) -> str:
        """The reason."""
        found = next(each for each in self.report.sections if each.title == title)
        assert isinstance(found, MissingSection), f"{title} is there"
        return found.reason

    def table(self, title: str, caption: str = "") -> dict[str, dict[str, str]]:
        """The section's first table with `caption` in its caption: first cell -> column -> text."""
        return {
            name: {column: cell.text for column, cell in cells.items()}
            for name, cells in self.cells(title, caption).items()
        }

    def cells(self, title: str, caption: str = "") -> dict[str, dict[str, Cell]]:
        """The same as cells, with their values and sources."""
        tables = [block for block in self.section(title).blocks if isinstance(block, ReportTable)]
        found = next((each for each in tables if caption in each.caption), None)
        assert found is not None, f"{title} has no table {caption!r}, only {[t.caption for t in tables]}"
        return {row[0].text: dict(zip(found.columns[1:], row[1:], strict=True)) for row in found.rows}

    def facts(self, title: str) -> dict[str, str]:
        """A table of two columns: what to how much."""
        return {what: next(iter(cells.values())) for what, cells in self.table(title).items()}

    def words(self, title: str) -> str:
        return " ".join(block.says for block in self.section(title).blocks if isinstance(block, Text))


def column(table: dict[str, dict[str, str]], name: str) -> list[str]:
    return [cells[name] for cells in table.values()]


def rounded(cell: Cell, decimals: int = 0) -> str:
    """A change with the digits that a seed prints: '-58.8 %' as '-59%'."""
    assert cell.value is not None
    assert cell.text == f"{cell.value * 100:+.1f} %"
    return f"{cell.value * 100:+,.{decimals}f}%"
