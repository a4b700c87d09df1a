"""`mlops report`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops.cli.output import json_option, show
from mlops.cli.registry.options import policy_option
from mlops.store.client import connect
from mlops.terminal.progress import status

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops.reports.document import Report
    from mlops.reports.report import Written
    from mlops.reports.tracked_facts import ReportData


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """logged_to: the run that the report is logged to; "" with --no-log."""

    report: Written
    run_id: str
    logged_to: str


@click.command()
@click.argument("name", metavar="RUN|STUDY|MODEL[/VERSION|@ALIAS]")
@click.option(
    "--out",
    default="",
    metavar="FOLDER",
    help="Folder of the report; an existing report is replaced.  [default: report-NAME]",
)
@click.option(
    "--equal-weights", default="", metavar="RUN", help="Equal-weights run to compare a GradNorm run with."
)
@click.option("--no-log", is_flag=True, help="Do not log the report to the run.")
@policy_option
@json_option
def report(
    name: str, out: str, equal_weights: str, no_log: bool, policy_file: str | None, as_json: bool
) -> None:
    """Write the training report: Markdown, one offline HTML page, PNG figures, and JSON with sources.

    The argument is a run ID or name, a study name (reports the search and its best training), or a
    registered model (@production, else @staging, else its newest version). The report is also logged to the
    run, in the folder `report`, where the MLflow UI shows it.

    \b
    Examples:
      mlops report 470744d606624b4485b12c4b9df22291
      mlops report blood-cell-classifier@production --out reports/blood
      mlops report joint-gradnorm --equal-weights joint-equal --no-log
    """
    from mlops.reports.reading.report_data import read_subject
    from mlops.reports.report import log_report, report_of

    # a report reads a lot and writes only at its end, so a dropped connection can be retried
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    client = connect()
    data = read_subject(client, name, equal_weights=equal_weights)
    data = _with_criteria(client, data, policy_file)
    written = _write(report_of(data), Path(out or f"report-{_file_name(data.title)}"))
    run_id = data.study.run.run_id if data.kind == "study" and data.study else data.run.run_id
    if not no_log:
        log_report(client, written, run_id)
    outcome = ReportOutcome(written, data.run.run_id, "" if no_log else run_id)
    show(outcome, as_json, _as_text(outcome))


def _with_criteria(client: MlflowClient, data: ReportData, policy_file: str | None) -> ReportData:
    """Add the policy's criteria here, as the package `reports` does not import the registry."""
    from dataclasses import replace

    from mlops.cli.registry.options import policy_of
    from registry.policies.policy import list_policies, load_policy
    from registry.stages.criteria import criteria_of

    model = data.version.model if data.version else data.run.tags.get("mlops.system", "")
    if not policy_file and not model:
        return replace(
            data, no_criteria="The run has no system tag, so there is no release policy to compare with."
        )
    if not policy_file and model not in list_policies():
        says = f"{model} has no built-in release policy; pass one with --policy FILE."
        return replace(data, no_criteria=says)
    policy = policy_of(model, policy_file) if model else load_policy(str(policy_file))
    return replace(data, criteria=criteria_of(client, data, policy))


def _write(made: Report, folder: Path) -> Written:
    from mlops.reports.report import write_report

    with status("drawing") as shown:
        return write_report(made, folder, shown)


def _file_name(title: str) -> str:
    return re.sub(r"[^\w.]+", "-", title)[:80].strip("-.")


def _as_text(outcome: ReportOutcome) -> str:
    written = outcome.report
    lines = [
        written.title,
        f"  {written.page}",
        f"  {written.markdown}",
        f"  {written.folder / 'figures'}/ ({len(written.figures)})",
    ]
    if written.left_out:
        lines.append("Omitted sections (no data):")
        lines += [f"  {title}: {reason}" for title, reason in written.left_out.items()]
    if outcome.logged_to:
        lines.append(f"Logged to run {outcome.logged_to}, folder report")
    return "\n".join(lines)
