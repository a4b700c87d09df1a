"""The data set: name, number of images, class balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.cells import Cells, words
from mlops.reports.document import Block, Cell, MissingSection, ReportTable, Section, Text, ValueSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops.reports.tracked_facts import DatasetFacts, ReportData

TITLE = "Data set"


def build(data: ReportData) -> Section | MissingSection:
    run, known = data.run, data.run.dataset
    if known is None:
        return MissingSection(TITLE, "No data set was recorded as an input of this run.")
    cells = Cells(run)
    source = ValueSource(run.run_id, "dataset", "name")
    rows = [(words("name"), Cell(known.name, rule="read", sources=(source,)))]
    if known.version:
        rows.append((words("version"), cells.tag("mlops.dataset_version")))
    digest = ValueSource(run.run_id, "dataset", "digest")
    rows.append((words("digest (SHA-256)"), Cell(known.digest or "-", rule="read", sources=(digest,))))
    if known.classes:
        says = f"{len(known.classes)}: {', '.join(known.classes)}"
        held = ValueSource(run.run_id, "dataset", "classes")
        rows.append((words("classes"), Cell(says, float(len(known.classes)), "count", (held,))))
    for split, pictures in known.pictures.items():
        held = ValueSource(run.run_id, "dataset", f"pictures.{split}")
        number = Cell(number_format.count(pictures), float(pictures), "read", (held,))
        rows.append((words(f"images, {split}"), number))
    return Section(TITLE, (ReportTable(("", ""), tuple(rows)), *_classes(run.run_id, known)))


def _classes(run_id: str, known: DatasetFacts) -> tuple[Block, ...]:
    if not known.counts:
        return (Text("The number of samples per class was not recorded with this run."),)
    splits = list(known.counts)
    names = known.classes or tuple(next(iter(known.counts.values())))
    first = splits[0]
    total = sum(known.counts[first].values())
    rows = []
    for name in names:
        counts = [_count(run_id, split, name, known.counts[split]) for split in splits]
        held = known.counts[first].get(name, 0)
        where = ValueSource(run_id, "dataset", f"counts.{first}")
        share = Cell(
            f"{held / total:.1%}" if total else "-", held / total if total else None, "share", (where,)
        )
        rows.append((words(name), *counts, share))
    table = ReportTable(("class", *splits, f"share of {first}"), tuple(rows), "samples of each class")
    return table, *_imbalance(run_id, first, known.counts[first])


def _count(run_id: str, split: str, name: str, counts: Mapping[str, int]) -> Cell:
    where = ValueSource(run_id, "dataset", f"counts.{split}.{name}")
    return Cell(number_format.count(counts.get(name, 0)), float(counts.get(name, 0)), "read", (where,))


def _imbalance(run_id: str, split: str, counts: Mapping[str, int]) -> tuple[Text, ...]:
    most, least = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
    if counts[least] == 0:
        return (Text(f"{least} has no sample in {split}."),)
    says = (
        f"Imbalance in {split}: {most} has {counts[most] / counts[least]:.1f} times the samples of {least} "
        f"({counts[most]:,} against {counts[least]:,})."
    )
    return (Text(says, (ValueSource(run_id, "dataset", f"counts.{split}"),)),)
