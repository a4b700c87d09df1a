"""Anomalies found by rules, and the rules that found nothing or had no data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops.reports.analysis import anomaly_rules as rules
from mlops.reports.analysis.anomaly_rules import Anomaly
from mlops.reports.cells import Cells, words
from mlops.reports.document import Cell, MissingSection, ReportTable, Section, Text
from mlops.reports.metric_labels import headlines, is_loss, is_share, label, per_class

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData

TITLE = "Anomalies"
_LOSSES = ("loss spike", "divergence", "NaN")
_OTHERS = (
    "oscillation",
    "over-fitting gap",
    "over-fitting loss",
    "class left behind",
    "data-loader starvation",
)


def build(data: ReportData) -> Section | MissingSection:
    looked: set[str] = set()
    found: list[Anomaly] = []
    for rule, anomalies in _all(data):
        looked.add(rule)
        found += anomalies
    if not looked:
        return MissingSection(TITLE, "No losses, validation metrics or GPU metrics were recorded.")
    quiet = sorted(looked - {each.rule for each in found})
    blind = [rule for rule in (*_LOSSES, *_OTHERS) if rule not in looked]
    texts = []
    if quiet:
        texts.append(Text(f"Checked and not found: {', '.join(quiet)}."))
    if blind:
        texts.append(Text(f"Not checked, as their metrics were not recorded: {', '.join(blind)}."))
    if not found:
        return Section(TITLE, (Text("No anomaly was found."), *texts))
    cells = Cells(data.run)
    rows = tuple(_row(cells, each) for each in sorted(found, key=lambda each: (each.first, each.rule)))
    columns = ("anomaly", "where", "epochs", "value", "threshold", "advice")
    return Section(TITLE, (ReportTable(columns, rows), *texts))


def _row(cells: Cells, found: Anomaly) -> tuple[Cell, ...]:
    where = label(found.what) if found.rule != "class left behind" else found.what
    epochs = "all" if not found.last else f"{found.first}-{found.last}"
    epochs = str(found.first) if found.first == found.last and found.last else epochs
    steps = f"{found.first}..{found.last}" if found.last else ""
    sources = tuple(cells.source(key, steps) for key in found.keys)
    figure = cells.worked(found.figure, found.value, found.rule, *sources)
    return words(found.rule), words(where), words(epochs), figure, words(found.threshold), words(found.advice)


def _all(data: ReportData) -> Iterator[tuple[str, tuple[Anomaly, ...]]]:
    """Each rule with data, with its findings."""
    run = data.run
    for key in run.names("train/"):
        if is_loss(key):
            yield "loss spike", rules.spikes(run.curves[key])
            yield "divergence", rules.divergence(run.curves[key])
            if f"val/{key[6:]}" in run.curves:
                yield (
                    "over-fitting loss",
                    rules.rising_validation(run.curves[key], run.curves[f"val/{key[6:]}"]),
                )
        elif is_share(key) and f"val/{key[6:]}" in run.curves:
            yield "over-fitting gap", rules.gap(run.curves[key], run.curves[f"val/{key[6:]}"])
    for key in (*run.names("train/"), *run.names("val/")):
        if is_loss(key):
            yield "NaN", rules.not_finite(run.curves[key])
    pictures = run.dataset.pictures.get("val") if run.dataset else None
    for key in headlines(run):
        if len(run.curves[key].finite().steps) >= rules.WINDOW:
            yield "oscillation", rules.oscillation(run.curves[key], pictures)
    _, classes = per_class(run)
    if len(classes) > 1:
        samples = dict(run.dataset.counts.get("train", {})) if run.dataset else {}
        yield "class left behind", rules.left_behind({n: run.curves[k] for n, k in classes.items()}, samples)
    for key in run.names("system/gpu_"):
        if key.endswith("_utilization_percentage"):
            yield "data-loader starvation", rules.starved(run.curves[key])
