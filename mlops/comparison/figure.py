"""The differences with their intervals, drawn."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from mlops.comparison.result import Comparison
from mlops.comparison.tables import verdict_in_words
from mlops.evaluation.drawing.figures import save
from mlops.evaluation.drawing.palette import COLOURS
from mlops.evaluation.statistics.comparing import FigureCompared

_BLUE, _RED, _GREY = COLOURS[0], COLOURS[1], "#6b6b6b"
# colour and mark together: whoever does not see the one sees the other
_MARKS = {"better": (_BLUE, "^"), "worse": (_RED, "v")}
_MOST = 40  # rows of one panel that can still be read


def draw_differences(found: Comparison, file: Path) -> Path:
    """One panel a candidate, one row a figure: the difference in points and its interval, the margin shaded.

    A figure's own interval is drawn; only what stands after the correction is coloured.
    """
    panels = [(*each.figures, *each.classes)[:_MOST] for each in found.candidates]
    rows = max(len(panel) for panel in panels)
    figure = Figure(figsize=(max(7, 5.5 * len(panels)), 1.6 + 0.34 * rows), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    margin = 100 * found.settings.margin
    for panel, against, axis in zip(panels, found.candidates, axes, strict=True):
        for row, each in enumerate(panel):
            colour, mark = _MARKS.get(each.verdict, (_GREY, "o")) if each.holds else (_GREY, "o")
            axis.plot([100 * each.low, 100 * each.high], [row, row], color=colour, linewidth=2)
            axis.plot(100 * each.difference, row, marker=mark, color=colour, markersize=7)
        axis.axvline(0, color="black", linewidth=1)
        axis.axvspan(-margin, 0, color="black", alpha=0.08, linewidth=0)
        axis.set(
            yticks=range(len(panel)),
            yticklabels=[_label(each, found.primary) for each in panel],
            ylim=(len(panel) - 0.5, -0.5),
            xlabel=f"difference in percentage points, {found.settings.confidence:.0%} interval",
            title=f"{against.candidate.name}\nagainst {found.baseline.name}",
        )
        axis.grid(axis="x", alpha=0.3)
    _legend(figure, panels, margin)
    return save(figure, file)


def _label(each: FigureCompared, primary: str) -> str:
    return f"{each.figure} *" if each.figure == primary else each.figure


def _legend(figure: Figure, panels: list[tuple[FigureCompared, ...]], margin: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = {verdict_in_words(each) for panel in panels for each in panel if each.holds}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, marker=mark, linewidth=2, label=verdict)
        for verdict, (colour, mark) in _MARKS.items()
        if verdict in shown
    ]
    handles.append(Line2D([], [], color=_GREY, marker="o", linewidth=2, label="no difference that stands"))
    if margin:
        handles.append(Patch(color="black", alpha=0.08, label=f"within the margin of {margin:g} points"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
