"""The parts of a report, independent of Markdown, HTML and JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["metric", "param", "tag", "dataset", "file", "info"]
FOLD_ABOVE = 16  # rows of a table that is shown unfolded
_NUMBER = re.compile(r"[+-]?[\d.,]+(e-?\d+)?( (%|s|min|h|kB|MB|GB|MB/s|points))?( \(.*\))?|-")


@dataclass(frozen=True, slots=True)
class ValueSource:
    """The source of a value. kind "info": MLflow's status and times of the run.

    steps: "12" for one, "1,30" for two, "1..30" for a range, "" for none.
    """

    run_id: str
    kind: Kind
    key: str
    steps: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    rule: "read" for a value as logged, else the name of the calculation from the sources; "" for text.
    """

    text: str
    value: float | None = None
    rule: str = ""
    sources: tuple[ValueSource, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportTable:
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    folded: bool = False

    @property
    def folds(self) -> bool:
        """Whether the table is collapsed; a table without a caption is not."""
        return self.folded or (len(self.rows) > FOLD_ABOVE and bool(self.caption))

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column except the first: whether most of its cells are numbers, which are
        right-aligned.
        """
        return tuple(
            at > 0 and 2 * sum(bool(_NUMBER.fullmatch(row[at].text)) for row in self.rows) > len(self.rows)
            for at in range(len(self.columns))
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. sources: of the values in it."""

    says: str
    sources: tuple[ValueSource, ...] = ()


@dataclass(frozen=True, slots=True)
class FigureFile:
    """A figure: `draw()` returns it; its file is `figures/<name>.png`. says: its caption."""

    name: str
    says: str
    draw: Callable[[], Figure]
    sources: tuple[ValueSource, ...] = ()


Block: TypeAlias = Text | ReportTable | FigureFile


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class MissingSection:
    """A section without data. reason: one sentence."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """title: of the report. about: one line on its origin."""

    title: str
    about: str
    sections: tuple[Section | MissingSection, ...]
