"""Final, best and held-out values, and the release policy's criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports.cells import UNKNOWN, Cells, best_of, words
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
from mlops.reports.metric_labels import (
    fitness_key,
    fitness_label,
    headlines,
    is_share,
    label,
    losses,
    short,
)

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import Criterion, ReportData

TITLE = "Final and best metrics"


def build(data: ReportData) -> Section | MissingSection:
    run, cells = data.run, Cells(data.run)
    shown = (*headlines(run), *(key for key in losses(run) if key.startswith("val/")))
    shown += tuple(key for key in losses(run) if key.startswith("train/"))
    blocks: list[Block] = []
    if shown:
        key = fitness_key(run)
        found = best_of(run)
        best = found[0] if found else None
        last = run.epochs[-1]
        rows = tuple(
            (
                words(label(name)),
                cells.at(name, best) if best is not None else UNKNOWN,
                cells.at(name, last),
                _extreme(cells, name),
            )
            for name in shown
        )
        kept = f"epoch {best}, best" if best is not None else "best"
        blocks.append(ReportTable(("metric", kept, f"epoch {last}, last", "best of all epochs"), rows))
        if best is not None and key is not None:
            blocks.append(
                Text(
                    f"The best epoch is the one with the highest {fitness_label(run)}: its weights are kept."
                )
            )
        if headlines(run):
            blocks.append(_picture(data, headlines(run), best))
    tested = _tested(data, cells)
    if tested is not None:
        blocks.append(tested)
    elif shown:
        blocks.append(Text("No metrics on held-out data (the test split) were recorded with this run."))
    if not blocks:
        return MissingSection(TITLE, "No validation or test metrics were recorded with this run.")
    return Section(TITLE, tuple(blocks))


def _extreme(cells: Cells, key: str) -> Cell:
    """The highest of a share, the lowest of a loss, with its epoch."""
    curve = cells.run.curves[key].finite()
    if not curve.steps:
        return UNKNOWN
    value = max(curve.values) if is_share(key) else min(curve.values)
    at = curve.steps[curve.values.index(value)]
    return cells.worked(f"{cells.text(key, value)} (epoch {at})", value, "read", cells.source(key, str(at)))


def _tested(data: ReportData, cells: Cells) -> ReportTable | None:
    names = sorted(key for key in data.run.latest if key.startswith("test/") and key.count("/") == 1)
    if not names:
        return None
    rows = tuple(
        (
            words(short(key)),
            Cell(
                cells.text(key, data.run.latest[key]), data.run.latest[key], "read", (cells.source(key, "0"),)
            ),
        )
        for key in names
    )
    return ReportTable(("held-out metric", "test split"), rows)


def _picture(data: ReportData, keys: tuple[str, ...], best: int | None) -> FigureFile:
    from mlops.reports.report_figures import draw_figures

    curves = [data.run.curves[key] for key in keys]
    cells = Cells(data.run)
    return FigureFile(
        "validation",
        "Validation metrics by epoch" + ("." if best is None else "; the dotted line is the best epoch."),
        lambda: draw_figures(curves, best),
        tuple(cells.source(key, f"{c.steps[0]}..{c.steps[-1]}") for key, c in zip(keys, curves, strict=True)),
    )


_CRITERIA = "Success criteria"


def build_criteria(data: ReportData) -> Section | MissingSection:
    if data.criteria is None:
        return MissingSection(_CRITERIA, data.no_criteria or "No release policy was given.")
    if not data.criteria:
        return MissingSection(_CRITERIA, "The release policy states no condition.")
    rows = tuple(_row(data, each) for each in data.criteria)
    columns = ("criterion", "for", "minimum", "target", "stretch", "reached", "level")
    known = [each for each in data.criteria if each.level != "not measured"]
    missed = [each.name for each in known if each.level in ("none", "refused")]
    says = f"{len(known)} of {len(data.criteria)} criteria could be evaluated from the recorded data"
    says += (
        f"; not reached: {', '.join(missed)}." if missed else "; all of them were reached." if known else "."
    )
    return Section(_CRITERIA, (ReportTable(columns, rows), Text(says)))


def _row(data: ReportData, each: Criterion) -> tuple[Cell, ...]:
    sources = tuple(
        ValueSource(data.run.run_id, "file" if key.endswith(".parquet") else "metric", key)
        for key in each.metrics
    )
    reached = Cell(each.reached or "-", each.value, "policy" if sources else "", sources)
    limits = (words(each.minimum or "-"), words(each.target or "-"), words(each.stretch or "-"))
    return words(each.name), words(each.stage), *limits, reached, words(each.level)
