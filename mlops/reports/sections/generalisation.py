"""The gap between training metrics and validation or test metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.cells import UNKNOWN, Cells, spanning, words
from mlops.reports.document import Block, FigureFile, MissingSection, ReportTable, Section, Text
from mlops.reports.metric_labels import is_loss, is_share, short

if TYPE_CHECKING:
    from mlops.reports.document import Cell
    from mlops.reports.tracked_facts import ReportData

TITLE = "Generalisation"
GRADES = ((0.02, "excellent"), (0.05, "good"))  # seed 003; larger gaps are over-fitting


def grade(gap: float) -> str:
    """
    >>> grade(0.0173), grade(0.03), grade(0.06)
    ('excellent', 'good', 'over-fitting')
    """
    return next((word for limit, word in GRADES if gap < limit), "over-fitting")


def build(data: ReportData) -> Section | MissingSection:
    from mlops.reports.report_figures import draw_pairs

    run, cells = data.run, Cells(data.run)
    names = [key.removeprefix("train/") for key in run.names("train/") if f"val/{key[6:]}" in run.curves]
    shares = [name for name in names if is_share(f"val/{name}")]
    pairs = shares or [name for name in names if is_loss(name)]
    if not pairs:
        return MissingSection(TITLE, "No metric was recorded for both training and validation.")
    rows = [_row(cells, name) for name in pairs]
    for name in shares:
        tested, last = run.latest.get(f"test/{name}"), run.curves[f"val/{name}"]
        best = run.latest.get(f"best/val/{name}")
        at_best = best if best is not None else (last.values[-1] if last.values else None)
        if tested is not None and at_best is not None:
            rows.append(_against_test(cells, name, tested, at_best, best is not None))
    curves = [(run.curves[f"train/{name}"], run.curves[f"val/{name}"]) for name in pairs]
    sources = tuple(cells.source(c.key, spanning(c.steps)) for pair in curves for c in pair)
    blocks: list[Block] = [
        ReportTable(("metric", "training", "validation", "gap", "grade"), tuple(rows)),
        Text("A gap below 2 points is excellent, below 5 points good; a larger gap is over-fitting.")
        if shares
        else Text("Only losses were recorded for both; a gap between losses has no grade."),
    ]
    if shares:  # losses are in the section on losses
        says = "Training and validation by epoch."
        blocks.append(FigureFile("generalisation", says, lambda: draw_pairs(curves), sources))
    return Section(TITLE, tuple(blocks))


def _row(cells: Cells, name: str) -> tuple[Cell, ...]:
    train, val = cells.run.curves[f"train/{name}"].finite(), cells.run.curves[f"val/{name}"].finite()
    both = sorted(set(train.steps) & set(val.steps))
    if not both:
        return (words(short(f"val/{name}")), UNKNOWN, UNKNOWN, UNKNOWN, words("-"))
    at = both[-1]
    a, b = train.by_step()[at], val.by_step()[at]
    sources = (cells.source(train.key, str(at)), cells.source(val.key, str(at)))
    title = words(f"{short(val.key)}, epoch {at}")
    if is_share(val.key):
        text, word = number_format.points(a - b, cells.digits.share), grade(a - b)
    else:
        text, word = cells.text(val.key, b - a), "-"
    gap = cells.worked(text, a - b, "difference", *sources)
    return title, cells.at(train.key, at), cells.at(val.key, at), gap, words(word)


def _against_test(
    cells: Cells, name: str, tested: float, validated: float, of_best: bool
) -> tuple[Cell, ...]:
    val = cells.run.curves[f"val/{name}"]
    read = cells.source(f"best/val/{name}", "0") if of_best else cells.source(val.key, str(val.steps[-1]))
    test = cells.source(f"test/{name}", "0")
    gap = validated - tested
    return (
        words(f"{short(val.key)}, validation against test"),
        cells.worked(cells.text(val.key, validated), validated, "read", read),
        cells.worked(cells.text(val.key, tested), tested, "read", test),
        cells.worked(number_format.points(gap, cells.digits.share), gap, "difference", read, test),
        words("within 2 points" if abs(gap) <= 0.02 else "more than 2 points"),
    )
