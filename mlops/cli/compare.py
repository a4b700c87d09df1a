"""`mlops compare`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from mlops.cli.output import json_option, plain, show
from mlops.cli.parameters import SEED, Number
from mlops.errors import BadSetting
from mlops.terminal.messages import note


def _score(text: str) -> float | None:
    """MLproject passes '' for a parameter without a value."""
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise BadSetting("compare", "--threshold", text, "a score from 0 to 1")
    return score


@click.command()
@click.argument("named", nargs=-1, required=True, metavar="A B [C ...]")
@click.option("--baseline", default="", metavar="A", help="Baseline of the comparison.  [default: the first]")
@click.option(
    "--split",
    type=click.Choice(("test", "val", "train")),
    default="test",
    show_default=True,
    help="Split whose per-sample results are compared.",
)
@click.option(
    "--primary",
    default="",
    metavar="METRIC",
    help="Metric that decides.  [default: mAP50-95; macro_f1 for classifiers]",
)
@click.option(
    "--margin",
    type=Number(0, 1),
    default=0.005,
    show_default=True,
    help="Non-inferiority margin of the primary metric.",
)
@click.option(
    "--threshold",
    default="",
    metavar="SCORE",
    help="Score threshold of boxes for precision, recall and F1.  [default: the one that `mlops evaluate` "
    "chose for each model, else 0.25]",
)
@click.option(
    "--draws", type=click.IntRange(100, 100_000), default=2000, show_default=True, help="Bootstrap draws."
)
@click.option(
    "--confidence",
    type=Number(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Confidence level of the intervals.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Bootstrap seed.")
@click.option("--apart", is_flag=True, help="Compare each seed separately; do not group by configuration.")
@click.option("--out", metavar="FOLDER", help="Write the comparison to FOLDER as Markdown, PNG and JSON.")
@click.option("--log", "logged", is_flag=True, help="Log the comparison to each run that is compared.")
@json_option
def compare(
    named: tuple[str, ...],
    baseline: str,
    split: str,
    primary: str,
    margin: float,
    threshold: str,
    draws: int,
    confidence: float,
    seed: int,
    apart: bool,
    out: str | None,
    logged: bool,
    as_json: bool,
) -> None:
    """Compare versions, runs or studies on the same samples: differences with intervals, costs, a verdict.

    Each of A, B, ... is NAME/VERSION, NAME@ALIAS, a run ID or a study name. Trainings that differ only in
    their seed are grouped into one configuration.

    \b
    Examples:
      mlops compare railway-detector@production railway-detector/7
      mlops compare yolo11n yolo11s --margin 0.01 --out comparison/
      mlops compare small-0 small-1 small-2 full-0 full-1 full-2 --baseline small-0
    """
    score = _score(threshold)

    from mlops.cli.train import split_parts
    from mlops.comparison.compare import ComparisonRequest, compare_sides, read_sides
    from mlops.comparison.output_files import log, write
    from mlops.comparison.text import as_text
    from mlops.metrics.statistics.metric_differences import ComparisonSettings
    from mlops.store.client import connect
    from mlops.terminal.progress import bar, tracked

    request = ComparisonRequest(
        named=split_parts(named),
        baseline=baseline,
        split=split,
        threshold=score,
        primary=primary,
        apart=apart,
        settings=ComparisonSettings(draws=draws, seed=seed, confidence=confidence, margin=margin),
    )
    client = connect()
    sides = read_sides(client, request, lambda names: tracked(names, "Reading results"))
    with bar("Bootstrap") as drawn:
        found = compare_sides(sides, request, drawn)
    if out:
        files = write(found, plain(found), Path(out))
        note(f"wrote {', '.join(str(file) for file in files)}")
    if logged:
        folder = log(client, found, plain(found))
        note(f"logged to the compared runs, in {folder}")
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    show(found, as_json, as_text(found, width=width, colour=terminal))
