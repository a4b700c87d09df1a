"""The files of a run: weights, and all others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlops.reports.cells import best_of, size_of, words
from mlops.reports.document import MissingSection, ReportTable, Section
from mlops.reports.metric_labels import fitness_label

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData, RunFacts, StoredFile

TITLE = "Checkpoints"
_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".h5", ".keras")


def build(data: ReportData) -> Section | MissingSection:
    run = data.run
    if run.files is None:
        return MissingSection(TITLE, f"The files of this run could not be listed: {run.files_problem}.")
    kept = [file for file in run.files if file.path.endswith(_WEIGHTS)]
    if not kept:
        return MissingSection(TITLE, "This run has no weights among its files.")
    rows = tuple(
        (
            words(file.path),
            size_of(run, file),
            words(_says(run, file)),
        )
        for file in sorted(kept, key=_order)
    )
    return Section(TITLE, (ReportTable(("file", "size", ""), rows),))


def _order(file: StoredFile) -> tuple[int, int, str]:
    name = file.path.rpartition("/")[2]
    number = re.search(r"(\d+)", name)
    first = 0 if name.startswith("best") else 1 if name.startswith("last") else 2
    return first, int(number[1]) if number else 0, file.path


def _says(run: RunFacts, file: StoredFile) -> str:
    name = file.path.rpartition("/")[2]
    if name.startswith("best"):
        found, chosen_by = best_of(run), fitness_label(run)
        return f"best {chosen_by}, epoch {found[0]}" if found and chosen_by else "best"
    if name.startswith("last"):
        return f"last epoch, {run.epochs[-1]}" if run.epochs else "last epoch"
    number = re.search(r"epoch[-_=]?(\d+)", name)
    return f"epoch {number[1]}" if number else ""


_FILES = "Files"


def build_files(data: ReportData) -> Section | MissingSection:
    run = data.run
    if run.files is None:
        return MissingSection(_FILES, f"The files of this run could not be listed: {run.files_problem}.")
    if not run.files:
        return MissingSection(_FILES, "This run has no files.")
    rows = tuple(
        (
            words(file.path),
            size_of(run, file),
        )
        for file in run.files
    )
    return Section(
        _FILES,
        (
            ReportTable(
                ("file", "size"), rows, f"{len(rows)} files" if len(rows) > 1 else "one file", folded=True
            ),
        ),
    )
