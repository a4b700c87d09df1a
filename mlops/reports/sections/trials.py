"""The search: best trials, importance of settings, pruned trials and saved epochs."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.analysis.trial_statistics import importances, saved_by_pruning
from mlops.reports.cells import Cells, last_part, words
from mlops.reports.document import (
    Block,
    Cell,
    FigureFile,
    MissingSection,
    ReportTable,
    Section,
    Text,
    ValueSource,
)
from mlops.reports.metric_labels import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlops.reports.tracked_facts import ReportData, RunFacts, StudyFacts

TITLE = "Search"
_BEST = 10


def build(data: ReportData) -> Section | MissingSection:
    study = data.study
    if study is None:
        return MissingSection(
            TITLE, "This report covers one training; run `mlops report STUDY` for a search."
        )
    trials = [t for t in study.trials if t.tags.get("mlops.trial") != "final"]
    scored = [t for t in trials if math.isfinite(_score(study, t))]
    if len(scored) < 2:
        return MissingSection(
            TITLE, f"Study {study.run.name} has {len(scored)} scored trial, so there is nothing to compare."
        )
    best = sorted(scored, key=lambda t: -_score(study, t))
    shown = [name for name in study.searched if any(name in t.params for t in scored)]
    rows = tuple(_row(study, t, shown) for t in best)
    columns = ("trial", label(study.objective), "epochs", "state", *shown)
    blocks: list[Block] = [
        ReportTable(columns, rows[:_BEST], f"the best {min(_BEST, len(rows))} of {len(trials)} trials"),
    ]
    if len(rows) > _BEST:
        blocks.append(ReportTable(columns, rows, "all trials with a value", folded=True))
    blocks += _importances(study, scored, shown)
    blocks.append(_pruned(study, trials))
    if study.lost:
        blocks.append(Text(f"Omitted, as they were deleted in the meantime: {', '.join(study.lost)}."))
    blocks.append(_picture(study, scored))
    return Section(TITLE, tuple(blocks))


def _score(study: StudyFacts, trial: RunFacts) -> float:
    curve = trial.curve(study.objective)
    return max(curve.finite().values, default=-math.inf) if curve else -math.inf


def _row(study: StudyFacts, trial: RunFacts, shown: list[str]) -> tuple[Cell, ...]:
    cells, curve = Cells(trial), trial.curves[study.objective].finite()
    top = max(curve.values)
    at = curve.steps[curve.values.index(top)]
    return (
        cells.info(trial.name, "name"),
        cells.worked(cells.text(study.objective, top), top, "read", cells.source(study.objective, str(at))),
        cells.worked(
            str(curve.steps[-1]),
            curve.steps[-1],
            "last epoch",
            cells.source(study.objective, str(curve.steps[-1])),
        ),
        words(_state(trial)),
        *(_setting(trial, name) for name in shown),
    )


def _state(trial: RunFacts) -> str:
    """complete, pruned, failed, killed or running."""
    if trial.tags.get("mlops.pruned") == "true":
        return "pruned"
    return {"FINISHED": "complete"}.get(trial.status, trial.status.lower())


def _setting(trial: RunFacts, name: str) -> Cell:
    """A searched value; numbers have three significant digits."""
    value = trial.params.get(name, "-")
    try:
        text = f"{float(value):.3g}"
    except ValueError:
        text = last_part(value)
    return Cell(text, rule="read", sources=(ValueSource(trial.run_id, "param", name),))


def _importances(study: StudyFacts, scored: list[RunFacts], shown: list[str]) -> list[Block]:
    complete = [t for t in scored if t.tags.get("mlops.pruned") != "true" and t.status == "FINISHED"]
    settings = [{name: _typed(t.params[name]) for name in shown if name in t.params} for t in complete]
    found = importances(settings, [_score(study, t) for t in complete])
    if not found:
        return [Text("The importance of settings is unknown: fewer than four complete trials vary one.")]
    sources = (ValueSource(study.run.run_id, "info", "trials"),)
    rows = tuple(
        (words(name), Cell(f"{value * 100:.0f} %", value, "fANOVA over the complete trials", sources))
        for name, value in found.items()
    )

    def draw() -> Figure:
        from mlops.reports.report_figures import draw_importances

        return draw_importances(found)

    says = f"share of the variation of {label(study.objective)} that each setting accounts for"
    return [
        ReportTable(("setting", "importance"), rows, f"{says} (fANOVA, {len(complete)} complete trials)"),
        FigureFile("importances", f"{says[:1].upper()}{says[1:]}.", draw, sources),
    ]


def _typed(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _pruned(study: StudyFacts, trials: list[RunFacts]) -> Text:
    begun = [t for t in trials if study.objective in t.curves]
    done = [t.curves[study.objective].steps[-1] for t in begun]
    planned = [t.planned_epochs or n for t, n in zip(begun, done, strict=True)]
    cut = [t.tags.get("mlops.pruned") == "true" for t in begun]
    epoch_s = [s for t in begun if (s := _epoch_s(t, study.objective)) is not None]
    saved = saved_by_pruning(done, planned, cut, epoch_s)
    if not saved.pruned:
        return Text("No trial was pruned.")
    time = (
        f", about {number_format.duration(saved.seconds)} at these trials' mean epoch"
        if saved.seconds
        else ""
    )
    says = (
        f"{saved.pruned} of {len(begun)} trials were pruned, which saved {saved.epochs:,} of "
        f"{saved.planned:,} epochs ({saved.share * 100:.0f} %){time}."
    )
    return Text(says, tuple(ValueSource(t.run_id, "metric", study.objective) for t in begun[:1]))


def _epoch_s(trial: RunFacts, objective: str) -> float | None:
    """Mean seconds between the ends of epochs; None for fewer than two epochs."""
    times = trial.curves[objective].times_ms
    return statistics.fmean(b - a for a, b in pairwise(times)) / 1000 if len(times) > 1 else None


def _picture(study: StudyFacts, scored: list[RunFacts]) -> FigureFile:
    from mlops.reports.report_figures import draw_history

    values = [_score(study, t) for t in scored]
    states = [_state(t) for t in scored]
    sources = tuple(ValueSource(t.run_id, "metric", study.objective) for t in scored)
    says = "Each trial's best value, and the best so far."
    return FigureFile("search", says, lambda: draw_history(values, states, label(study.objective)), sources)
