"""Overview: what was trained, by whom, when, with which settings, and the result."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.cells import Cells, best_of, words
from mlops.reports.document import Cell, MissingSection, ReportTable, Section, Text
from mlops.reports.metric_labels import fitness_keys, fitness_label, label

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData

TITLE = "Overview"
_TAGS = (
    ("system", "mlops.system"),
    ("study", "mlops.study"),
    ("trial", "mlops.trial"),
    ("code", "mlops.code_commit"),
    ("code has changes", "mlops.code_dirty"),
    ("licence", "mlops.licence"),
    ("demo data", "mlops.demo"),
    ("failure", "mlops.failure"),
)


def build(data: ReportData) -> Section | MissingSection:
    run, cells = data.run, Cells(data.run)
    rows: list[tuple[Cell, ...]] = []
    if data.version is not None:
        version = data.version
        aliases = "".join(f" @{alias}" for alias in version.aliases)
        rows.append((words("version"), cells.info(f"{version.model} {version.version}{aliases}", "version")))
    rows += [
        (words("run"), cells.info(run.name or run.run_id, "name")),
        (words("run id"), cells.info(run.run_id, "run_id")),
        (words("experiment"), cells.info(run.experiment, "experiment")),
        (words("status"), cells.info(run.status, "status")),
        (words("trained by"), cells.info(run.user or "not recorded", "user")),
        (words("started"), cells.info(moment(run.started_ms), "start_time")),
        (words("duration"), _duration(data, cells)),
        (words("epochs"), _epochs(data, cells)),
        *_best(data, cells),
    ]
    parameters = run.latest.get("model/parameters")
    if parameters is not None:
        source = cells.source("model/parameters", "0")
        rows.append(
            (words("parameters"), cells.worked(number_format.count(parameters), parameters, "read", source))
        )
    rows += [(words(says), cells.tag(tag)) for says, tag in _TAGS if run.tags.get(tag)]
    return Section(TITLE, (Text(_sentence(data)), ReportTable(("", ""), tuple(rows))))


def _sentence(data: ReportData) -> str:
    """The training in one sentence."""
    run = data.run
    what = run.params.get("model") or run.tags.get("mlops.system") or run.name
    done = run.epochs[-1] if run.epochs else 0
    state = {
        "RUNNING": f"is still running; its last recorded epoch is {done}",
        "FAILED": f"failed after epoch {done}",
        "KILLED": f"was killed after epoch {done}",
    }.get(run.status, f"ended after epoch {done}")
    if data.kind == "study" and data.study is not None:
        trials = len(data.study.trials)
        count = "one training" if trials == 1 else f"{trials} trainings"
        return f"Study {data.study.run.name} of {count}; reported here: {run.name} ({what}), which {state}."
    return f"The training of {what} {state}."


def _duration(data: ReportData, cells: Cells) -> Cell:
    run = data.run
    so_far = " so far" if run.ended_ms is None else ""
    return cells.info(number_format.duration(run.wall_s) + so_far, "end_time - start_time", run.wall_s)


def _epochs(data: ReportData, cells: Cells) -> Cell:
    run = data.run
    done, planned = run.epochs[-1], run.planned_epochs
    early = f" of {planned} planned" if planned is not None and planned != done else ""
    key = next(key for key, c in run.curves.items() if c.steps and c.steps[-1] == done)
    return Cell(f"{done}{early}", float(done), "last epoch", (cells.source(key, str(done)),))


def _best(data: ReportData, cells: Cells) -> list[tuple[Cell, ...]]:
    keys, found = fitness_keys(data.run), best_of(data.run)
    if not keys or found is None:
        return []
    best, source = found
    text = f"{best} ({best / data.run.epochs[-1] * 100:.0f} % of all epochs), by {fitness_label(data.run)}"
    epoch = cells.worked(text, float(best), "epoch", source)
    there = [(words(f"{label(key)} at the best epoch"), cells.at(key, best)) for key in keys]
    return [(words("best epoch"), epoch), *there]


def moment(at_ms: int) -> str:
    """
    >>> moment(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


_CONFIGURATION = "Configuration"
_FIRST = (
    ("model", ("model",)),
    ("pretrained weights", ("weights", "pretrained")),
    ("image size", ("image_size", "imgsz")),
    ("batch size", ("batch", "batch_size")),
    ("accumulated batches", ("accumulate",)),
    ("epochs planned", ("epochs",)),
    ("patience", ("patience",)),
    ("optimizer", ("optimizer",)),
    ("learning rate", ("lr0", "lr")),
    ("final learning rate, as a fraction", ("lrf",)),
    ("schedule", ("schedule",)),
    ("cosine learning rate", ("cos_lr",)),
    ("weight decay", ("weight_decay",)),
    ("warm-up epochs", ("warmup_epochs",)),
    ("mixed precision", ("amp",)),
    ("loading processes", ("workers",)),
    ("device", ("device",)),
    ("seed", ("seed",)),
)


def build_configuration(data: ReportData) -> Section | MissingSection:
    run, cells = data.run, Cells(data.run)
    if not run.params:
        return MissingSection(_CONFIGURATION, "No settings were recorded with this run.")
    rows = []
    for says, names in _FIRST:
        held = next((name for name in names if name in run.params), None)
        if held is not None:
            rows.append((words(says), cells.param(held)))
    every = tuple((words(name), cells.param(name)) for name in sorted(run.params))
    libraries = sorted(tag for tag in run.tags if tag.startswith("mlops.lib."))
    versions = tuple((words(tag.removeprefix("mlops.lib.")), cells.tag(tag)) for tag in libraries)
    blocks = [ReportTable(("setting", "value"), tuple(rows))] if rows else []
    blocks.append(ReportTable(("setting", "value"), every, f"all {len(every)} settings", folded=True))
    if versions:
        blocks.append(ReportTable(("library", "version"), versions, "libraries", folded=True))
    return Section(_CONFIGURATION, tuple(blocks))
