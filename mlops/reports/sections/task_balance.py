"""How GradNorm balanced the tasks' losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.analysis.epoch_statistics import milestones
from mlops.reports.analysis.weight_phases import in_words, weight_phases
from mlops.reports.cells import UNKNOWN, Cells, spanning, words
from mlops.reports.document import Block, Cell, FigureFile, MissingSection, ReportTable, Section, Text

if TYPE_CHECKING:
    from mlops.reports.report_figures import Scale
    from mlops.reports.tracked_facts import ReportData, RunFacts
    from mlops.store.histories import Curve

TITLE = "Balance of the tasks"
_WEIGHT, _NORMS = "balance/weight/", "balance/grad_norm/"
_FIGURES = (
    (_NORMS, "gradient norm on the last shared layer"),
    ("balance/inverse_rate/", "relative inverse training rate"),
    ("balance/share/", "share of the weighted loss"),
)


def build(data: ReportData) -> Section | MissingSection:
    run, cells = data.run, Cells(data.run)
    tasks = [key.removeprefix(_WEIGHT) for key in run.names(_WEIGHT)]
    if len(tasks) < 2:
        return MissingSection(TITLE, "No task weights were recorded with this run, which has only one loss.")
    weights = {task: run.curves[_WEIGHT + task].finite() for task in tasks}
    heavy = sorted(tasks, key=lambda task: -(weights[task].values or (0.0,))[-1])
    blocks: list[Block] = [_weights(cells, heavy, weights), *_ratio(cells, heavy, weights)]
    blocks.append(_pictures(cells, "task_weights", "Weight of each task.", heavy, _WEIGHT, "weight"))
    for prefix, says in _FIGURES:
        if run.names(prefix):
            named = [task for task in heavy if prefix + task in run.curves]
            name = prefix.split("/")[1]
            blocks.append(
                _pictures(cells, f"task_{name}", says.capitalize() + " of each task.", named, prefix, says)
            )
            blocks.append(_table(cells, named, prefix, says))
    blocks += _losses(data, heavy)
    return Section(TITLE, tuple(blocks))


def _weights(cells: Cells, tasks: list[str], weights: dict[str, Curve]) -> ReportTable:
    rows = []
    for task in tasks:
        steps = weights[task].steps
        if not steps:
            rows.append((words(task), UNKNOWN, UNKNOWN, UNKNOWN))
            continue
        key = _WEIGHT + task
        first, last = steps[0], steps[-1]
        rows.append((words(task), cells.at(key, first), cells.at(key, last), cells.change(key, first, last)))
    return ReportTable(
        ("task", "first weight", "last weight", "change"), tuple(rows), "task weights, first against last"
    )


def _ratio(cells: Cells, tasks: list[str], weights: dict[str, Curve]) -> list[Block]:
    """The ratio of the largest to the smallest task weight."""
    over, under = weights[tasks[0]], weights[tasks[-1]]
    below = under.by_step()
    pairs = [(s, v / below[s]) for s, v in zip(over.steps, over.values, strict=True) if below.get(s, 0) > 0]
    if not pairs:
        return [Text("The ratio of the weights is unknown: no step has two weights above zero.")]
    steps, ratios = [s for s, _ in pairs], [r for _, r in pairs]
    sources = tuple(cells.source(_WEIGHT + task, spanning(steps)) for task in (tasks[0], tasks[-1]))
    says = (
        f"{tasks[0]} to {tasks[-1]}: {in_words(ratios[-1])} at the end ({ratios[-1]:.3g}), "
        f"from {in_words(ratios[0])} at epoch {steps[0]}."
    )
    from mlops.reports.report_figures import draw_ratio

    phases = weight_phases(steps, ratios)
    rows = tuple(
        (
            words(phase.name),
            words(f"{phase.first}-{phase.last}" if phase.last > phase.first else str(phase.first)),
            cells.worked(in_words(phase.start), phase.start, "ratio", *sources),
            cells.worked(in_words(phase.end), phase.end, "ratio", *sources),
        )
        for phase in phases
    )
    blocks: list[Block] = [Text(says, sources)]
    if rows:
        blocks.append(
            ReportTable(
                ("phase", "epochs", "ratio at its start", "ratio at its end"), rows, "phases of the ratio"
            )
        )
        blocks.append(
            Text(
                "Quick search: the ratio differs by more than 25 % from its final value; fine adjustment: "
                "by more than 5 %; stable: the rest, if it is at least a fifth of the training."
                + ("" if phases[-1].name == "stable" else " It was not stable at the end of the training.")
            )
        )
    title = f"weight, {tasks[0]} : {tasks[-1]}"
    picture = FigureFile(
        "task_ratio",
        "Ratio of the weights and its phases.",
        lambda: draw_ratio(steps, ratios, phases, title),
        sources,
    )
    return [*blocks, picture]


def _table(cells: Cells, tasks: list[str], prefix: str, says: str) -> ReportTable:
    steps = sorted({step for task in tasks for step in cells.run.curves[prefix + task].steps})
    rows = tuple((cells.epoch(s), *(cells.at(prefix + task, s) for task in tasks)) for s in milestones(steps))
    return ReportTable(("epoch", *tasks), rows, says, folded=True)


def _pictures(cells: Cells, name: str, says: str, tasks: list[str], prefix: str, unit: str) -> FigureFile:
    from mlops.reports.report_figures import draw_tasks

    curves = {task: cells.run.curves[prefix + task] for task in tasks}
    scale: Scale = "log" if prefix == _NORMS else "linear"  # norms fall by orders of magnitude
    sources = tuple(cells.source(c.key, spanning(c.steps)) for c in curves.values())
    return FigureFile(name, says, lambda: draw_tasks(curves, unit, scale), sources)


def _losses(data: ReportData, tasks: list[str]) -> list[Block]:
    """First and last loss of each task, compared with a run with equal weights if one is given."""
    from mlops.reports.report_figures import draw_beside

    run, other = data.run, data.equal_weights
    keys = [f"train/{task}_loss" for task in tasks if f"train/{task}_loss" in run.curves]
    keys += [key for key in ("train/loss", "train/total_loss") if key in run.curves]
    if not keys:
        return [Text("No losses of the tasks were recorded with this run.")]
    cells, beside = Cells(run), Cells(other) if other is not None else None
    rows = []
    for key in keys:
        row = [words(key.removeprefix("train/").replace("_", " ")), *_first_last(cells, run, key)]
        if beside is not None and other is not None:
            row += [*_first_last(beside, other, key), _against(cells, beside, key)]
        rows.append(tuple(row))
    columns: tuple[str, ...] = ("loss", "first", "last", "change")
    if other is None:
        note = Text("Losses with equal weights are not shown: no run was passed with --equal-weights.")
        return [ReportTable(columns, tuple(rows), "training losses"), note]
    named = other.name if other.name != run.name else f"run {other.run_id[:8]}"
    columns += (
        "first, equal weights",
        "last, equal weights",
        "change, equal weights",
        "last, against equal weights",
    )
    pairs = {key: (run.curves[key], other.curves[key]) for key in keys if key in other.curves}
    blocks: list[Block] = [
        ReportTable(columns, tuple(rows), f"training losses, compared with {named} with equal weights")
    ]
    if pairs:
        sources = tuple(
            c.source(k, spanning(c.run.curves[k].steps)) for k in pairs for c in (cells, beside) if c
        )
        says = "Losses of this run and of the one with equal weights."
        blocks.append(FigureFile("task_losses", says, lambda: draw_beside(pairs, run.name, named), sources))
    return blocks


def _first_last(cells: Cells, run: RunFacts, key: str) -> tuple[Cell, Cell, Cell]:
    curve = run.curve(key)
    steps = curve.finite().steps if curve else ()
    if not steps:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return cells.at(key, steps[0]), cells.at(key, steps[-1]), cells.change(key, steps[0], steps[-1])


def _against(cells: Cells, beside: Cells, key: str) -> Cell:
    """The last loss against the other run's last."""
    own, other = cells.run.curve(key), beside.run.curve(key)
    if own is None or other is None or not own.finite().values or not other.finite().values:
        return UNKNOWN
    a, b = own.finite(), other.finite()
    if not b.values[-1]:
        return UNKNOWN
    change = a.values[-1] / b.values[-1] - 1
    sources = (cells.source(key, str(a.steps[-1])), beside.source(key, str(b.steps[-1])))
    return cells.worked(number_format.percent(change), change, "change", *sources)
