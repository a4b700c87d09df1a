"""From what was read to files, all of them or none; and onto the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops import __version__
from mlops.errors import UserError
from mlops.files.atomic import new_folder
from mlops.reports.document import FigureFile, Report, Section
from mlops.reports.rendering import as_json, as_markdown, as_page
from mlops.reports.sections.all_sections import build_all
from mlops.store.client import asking

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops.reports.tracked_facts import ReportData

FOLDER = "report"  # among the run's artifacts
MARKDOWN, PAGE, SOURCES, FIGURES = "report.md", "report.html", "report.json", "figures"
_DPI = 110


@dataclass(frozen=True, slots=True)
class Written:
    """A report's files. left_out: title to reason of each section without data."""

    title: str
    folder: Path
    markdown: Path
    page: Path
    sources: Path
    figures: tuple[Path, ...]
    left_out: dict[str, str]


def report_of(data: ReportData) -> Report:
    """All sections of the report."""
    about = (
        f"Training report of run {data.run.run_id}, made by vision-mlops {__version__} from what was tracked."
    )
    return Report(f"Training report: {data.title}", about, build_all(data))


def write_report(
    report: Report, folder: Path, on_figure: Callable[[str], None] = lambda name: None
) -> Written:
    """Write Markdown, HTML, JSON and figures into `folder`; an earlier report in it is replaced as a whole.

    on_figure: called with each figure's name before it is drawn. Raises UserError where `folder` is a file,
    or holds something that is no report.
    """
    folder = folder.absolute()
    _check(folder)
    with new_folder(folder, "replace") as stage:
        figures = _draw(report, stage / FIGURES, on_figure)
        (stage / MARKDOWN).write_text(as_markdown(report), encoding="utf-8")
        (stage / SOURCES).write_text(as_json(report), encoding="utf-8")
        (stage / PAGE).write_text(as_page(report, figures), encoding="utf-8")
    return Written(
        report.title,
        folder,
        folder / MARKDOWN,
        folder / PAGE,
        folder / SOURCES,
        tuple(folder / FIGURES / file.name for file in figures.values()),
        {each.title: each.reason for each in report.sections if not isinstance(each, Section)},
    )


def log_report(client: MlflowClient, written: Written, run_id: str) -> None:
    """Put the files onto the run, in the folder `report`, where the MLflow UI shows them."""
    with asking(f"logging the report to run {run_id}"):
        client.log_artifacts(run_id, str(written.folder), FOLDER)


def _check(folder: Path) -> None:
    if folder.is_dir():
        others = {item.name for item in folder.iterdir()} - {MARKDOWN, PAGE, SOURCES, FIGURES}
        if others:
            raise UserError(
                f"{folder} holds other things ({sorted(others)[0]}); "
                "name a folder of the report's own with --out"
            )
    elif folder.exists():
        raise UserError(f"{folder} is a file; name a folder with --out")


def _draw(report: Report, folder: Path, on_figure: Callable[[str], None]) -> dict[str, Path]:
    folder.mkdir()
    drawn: dict[str, Path] = {}
    for section in report.sections:
        for block in section.blocks if isinstance(section, Section) else ():
            if isinstance(block, FigureFile):
                on_figure(block.name)
                drawn[block.name] = folder / f"{block.name}.png"
                block.draw().savefig(drawn[block.name], dpi=_DPI, metadata={"Software": None})
    return drawn
