"""What a report is made of before it becomes Markdown, HTML or JSON."""

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
    """Where a figure was read. kind "info": what MLflow says of the run itself, its status and times.

    steps: "12" for one, "1,30" for two, "1..30" for all from the one to the other, "" for what has none.
    """

    run_id: str
    kind: Kind
    key: str
    steps: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    rule: "read" for a figure as it was logged, else how it was worked out of the sources, in a word; "" for
    words.
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
        """What has no caption would be folded under nothing: it stays open."""
        return self.folded or (len(self.rows) > FOLD_ABOVE and bool(self.caption))

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Of each column but the first, whether most of its cells are numbers: those stand to the right."""
        return tuple(
            at > 0 and 2 * sum(bool(_NUMBER.fullmatch(row[at].text)) for row in self.rows) > len(self.rows)
            for at in range(len(self.columns))
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. sources: of the figures in it."""

    says: str
    sources: tuple[ValueSource, ...] = ()


@dataclass(frozen=True, slots=True)
class FigureFile:
    """A figure to be drawn: `draw()` gives it; its file is `figures/<name>.png`. says: what to see in it."""

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
    """A section that has no data. reason: one sentence."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """title: of what. about: one line of what it was made from."""

    title: str
    about: str
    sections: tuple[Section | MissingSection, ...]
