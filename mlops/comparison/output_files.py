"""Write a comparison to a folder or to runs: Markdown, a plot of the differences, JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mlops.comparison.comparison_result import Comparison
from mlops.comparison.formatting import verdict_in_words
from mlops.comparison.text import as_markdown
from mlops.drawing.plots import COLOURS, save
from mlops.metrics.statistics.metric_differences import FigureCompared
from mlops.redaction import redact_recorded, redact_values
from mlops.store.client import asking
from mlops.store.names import folder_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

ON_RUNS = "comparisons"
MARKDOWN, PICTURE, JSON = "comparison.md", "comparison.png", "comparison.json"


def write(found: Comparison, values: object, folder: Path) -> tuple[Path, ...]:
    """values: `found` as JSON-compatible values. Replaces the files of an earlier comparison.

    Raises OSError if `folder` is not writable.
    """

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".comparison-", dir=folder) as name:
        draft = Path(name)
        (draft / MARKDOWN).write_text(redact_recorded(as_markdown(found, PICTURE)), encoding="utf-8")
        text = json.dumps(redact_values(values), indent=2, ensure_ascii=False)
        (draft / JSON).write_text(f"{text}\n", encoding="utf-8")
        draw_differences(found, draft / PICTURE)
        return tuple((draft / each).replace(folder / each) for each in (MARKDOWN, PICTURE, JSON))


def log(client: MlflowClient, found: Comparison, values: object) -> str:
    """Log the same files to the run of every compared training.

    Returns their folder, which depends only on the names; earlier files are replaced.
    """
    parties = [found.baseline, *(against.candidate for against in found.candidates)]
    kept = f"{ON_RUNS}/{folder_name('-and-'.join(party.name.replace('/', '-') for party in parties))}"
    with tempfile.TemporaryDirectory(prefix="mlops-comparison-") as folder:
        write(found, values, Path(folder))
        for run in (run for party in parties for run in party.runs):
            with asking(f"logging the comparison to run {run}"):
                client.log_artifacts(run, folder, kept)
    return kept


_BLUE, _RED, _GREY = COLOURS[0], COLOURS[1], "#6b6b6b"
# both colour and marker, for colour-blind readers
_MARKS = {"better": (_BLUE, "^"), "worse": (_RED, "v")}
_MOST = 40  # rows of one panel that can still be read


def draw_differences(found: Comparison, file: Path) -> Path:
    """One panel per candidate, one row per metric: difference in points with its interval, margin shaded.

    The interval is not corrected; only differences that remain after the correction are coloured.
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
    handles.append(Line2D([], [], color=_GREY, marker="o", linewidth=2, label="not significant"))
    if margin:
        handles.append(Patch(color="black", alpha=0.08, label=f"within the margin of {margin:g} points"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
