"""`mlops data check`: list everything that is wrong with a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from entrypoints.output import json_option, show

if TYPE_CHECKING:
    from mlops.data.faults import Fault

_EXAMPLES = 3


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--task",
    type=click.Choice(["detection", "classification", "joint"]),
    default=None,
    help="What the data are meant for; data that cannot serve it are an error.",
)
@click.option(
    "--image-label",
    default=None,
    help="Of joint data, where a picture's class comes from: a table, folder, present:CLASS or largest.  "
    "[default: labels.csv]",
)
@click.option("--all", "every", is_flag=True, help="Print every fault, not the first of each kind.")
@json_option
def check(
    paths: tuple[str, ...], task: str | None, image_label: str | None, every: bool, as_json: bool
) -> None:
    """List everything that is wrong with the data at PATH: file, line, what, and how much it matters.

    Several paths are checked as data that are trained on together. Errors stop a training, warnings are kept
    with its run. Leaves with 2 when there are errors.

    \b
    Examples:
      mlops data check rail/data.yaml
      mlops data check cells.npz bccd --all
      mlops data check s3://lab/xray --task detection --json
      mlops data check oct --task joint --image-label present:suspicious
    """
    from mlops.data import check_dataset
    from mlops.data.faults import as_rows
    from mlops.tracking.home import home_folder

    task = "joint" if image_label else task
    faults = check_dataset(
        paths, task, cache=home_folder() / "cache", image_label=image_label or "labels.csv"
    )
    errors = sum(each.severity == "error" for each in faults)
    value = {"errors": errors, "warnings": len(faults) - errors, "faults": as_rows(faults)}
    show(value, as_json, as_text(faults, every))
    if errors:
        sys.exit(2)


def as_text(faults: Sequence[Fault], every: bool) -> str:
    """The faults by kind, with how many there are and the first of them, or all."""
    if not faults:
        return "no faults found"
    lines: list[str] = []
    for (severity, code), of_kind in groupby(faults, key=lambda each: (each.severity, each.code)):
        found = list(of_kind)
        lines.append(f"{severity:<7}  {code}  {len(found)}")
        lines += _lines(found if every else found[:_EXAMPLES])
        if not every and len(found) > _EXAMPLES:
            lines.append(f"         ... {len(found) - _EXAMPLES} more (--all)")
    errors = sum(each.severity == "error" for each in faults)
    lines.append(f"{errors} errors, {len(faults) - errors} warnings")
    return "\n".join(lines)


def _lines(faults: Iterable[Fault]) -> Iterable[str]:
    return (f"         {each.place}: {each.says}" for each in faults)
