"""The learning rate's phases, and the changes of loss and metric in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.analysis.epoch_statistics import fluctuation
from mlops.reports.analysis.rate_phases import Band, bands, main_rate, phases
from mlops.reports.cells import UNKNOWN, Cells, spanning, words
from mlops.reports.document import Cell, FigureFile, MissingSection, ReportTable, Section
from mlops.reports.metric_labels import headlines, is_loss, label

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData

TITLE = "Learning rate"
_BANDS = {"high": "high (above half of the peak)", "mid": "mid", "low": "low (below a tenth of the peak)"}


def build(data: ReportData) -> Section | MissingSection:
    from mlops.reports.report_figures import draw_rates

    run, cells = data.run, Cells(data.run)
    names = run.names("lr/")
    main = main_rate(names)
    found = phases(run.curves[main]) if main else ()
    if main is None or not found:
        return MissingSection(
            TITLE, "Fewer than two epochs with a learning rate were recorded with this run."
        )
    rows = tuple(
        (
            words(f"{each.first}-{each.last}" if each.last > each.first else str(each.first)),
            words(each.shape),
            cells.worked(
                f"{each.start:.3g}",
                each.start,
                "read",
                cells.source(main, str(_before(each.first, run.curves[main].steps))),
            ),
            cells.at(main, each.last),
            *_what_happened(cells, tuple(range(_before(each.first, run.curves[main].steps), each.last + 1))),
        )
        for each in found
    )
    happened = _columns(cells)
    columns = ("epochs", "phase", "from", "to", *happened)
    by_level = tuple(_band(cells, band) for band in bands(run.curves[main]))
    blocks = [ReportTable(columns, rows, f"{label(main)} by phase")]
    if by_level:
        blocks.append(
            ReportTable(("rate", "epochs", *happened), by_level, "high, mid and low rates, from the peak on")
        )
    curves = [run.curves[name] for name in names]
    picture = FigureFile(
        "learning_rate",
        "Learning rate of each parameter group by epoch.",
        lambda: draw_rates(curves),
        tuple(cells.source(c.key, spanning(c.steps)) for c in curves),
    )
    return Section(TITLE, (*blocks, picture))


def _before(first: int, steps: tuple[int, ...]) -> int:
    """The epoch before a phase, or its first epoch if there is none."""
    earlier = [step for step in steps if step < first]
    return earlier[-1] if earlier else first


def _band(cells: Cells, band: Band) -> tuple[Cell, ...]:
    first, last = band.epochs[0], band.epochs[-1]
    whole = last - first + 1 == len(band.epochs)
    name = spanning(band.epochs).replace("..", "-") if whole else f"{len(band.epochs)} of {first}-{last}"
    return words(_BANDS[band.name]), words(name), *_what_happened(cells, band.epochs)


def _followed(cells: Cells) -> tuple[str | None, str | None]:
    """The loss and the validation metric reported for each phase."""
    losses = [key for key in cells.run.names("train/") if is_loss(key)]
    figures = headlines(cells.run)
    return (losses[0] if losses else None), (figures[0] if figures else None)


def _columns(cells: Cells) -> tuple[str, ...]:
    loss, figure = _followed(cells)
    held = ((f"{label(loss)}", f"scatter of {label(loss)}") if loss else ()) + (
        (f"{label(figure)}",) if figure else ()
    )
    return tuple(held)


def _what_happened(cells: Cells, epochs: tuple[int, ...]) -> tuple[Cell, ...]:
    loss, figure = _followed(cells)
    told: list[Cell] = []
    if loss is not None:
        told.append(cells.change(loss, epochs[0], epochs[-1]) if len(epochs) > 1 else UNKNOWN)
        told.append(_scatter(cells, loss, epochs))
    if figure is not None:
        told.append(cells.change(figure, epochs[0], epochs[-1]) if len(epochs) > 1 else UNKNOWN)
    return tuple(told)


def _scatter(cells: Cells, key: str, epochs: tuple[int, ...]) -> Cell:
    values = {s: v for s, v in cells.run.curves[key].finite().by_step().items() if s in set(epochs)}
    found = fluctuation(list(values), list(values.values()))
    if found != found:
        return UNKNOWN
    return cells.over(key, "scatter", found, number_format.percent(found).lstrip("+"), tuple(values))
