"""`mlops data`: generate demo data, check or convert a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import SEED
from mlops.errors import BadSetting
from mlops.terminal.messages import in_one_line, warn

if TYPE_CHECKING:
    from mlops.data.converting.convert import Converted, SplitRequest
    from mlops.data.faults import Fault


@click.group()
def data() -> None:
    """Generate demo data, check or convert a data set.

    \b
    Example: mlops data check rail/data.yaml
             mlops data demo railway-detector --out rail
    """


_EXAMPLES = 3


@data.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--task",
    type=click.Choice(["detection", "classification", "joint"]),
    default=None,
    help="Task to check for; data that do not fit the task are an error.",
)
@click.option(
    "--image-label",
    default=None,
    help="Source of the image labels of joint data: a CSV file, folder, present:CLASS or largest.  "
    "[default: labels.csv]",
)
@click.option("--all", "every", is_flag=True, help="Print every fault, not only the first of each kind.")
@json_option
def check(
    paths: tuple[str, ...], task: str | None, image_label: str | None, every: bool, as_json: bool
) -> None:
    """List the faults of the data at PATH: severity, code, file, line and description.

    Several paths are checked as one data set. Errors stop a training; warnings are logged to its run. Exits
    with status 2 if there are errors.

    \b
    Examples:
      mlops data check rail/data.yaml
      mlops data check cells.npz bccd --all
      mlops data check s3://lab/xray --task detection --json
      mlops data check oct --task joint --image-label present:suspicious
    """
    from mlops.data import check_dataset
    from mlops.data.faults import as_rows
    from mlops.files.home import open_home

    task = "joint" if image_label else task
    faults = check_dataset(paths, task, cache=open_home() / "cache", image_label=image_label or "labels.csv")
    errors = sum(each.severity == "error" for each in faults)
    value = {"errors": errors, "warnings": len(faults) - errors, "faults": as_rows(faults)}
    show(value, as_json, as_text(faults, every))
    if errors:
        sys.exit(2)


def as_text(faults: Sequence[Fault], every: bool) -> str:
    """The faults by kind: their number, and the first few or all of them."""
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
    return (f"         {in_one_line(f'{each.place}: {each.says}')}" for each in faults)


@data.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(["yolo", "imagefolder"]), required=True, help="Output format.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option("--split", default=None, help="Fractions of train,val,test.  [default: 0.7,0.15,0.15]")
@click.option("--group-by", default="", help="Column of the group (e.g. patient); a group is never split.")
@click.option(
    "--group-pattern", default="", help="Regular expression that finds the group in an image's path."
)
@click.option("--seed", default=None, type=SEED, help="Seed of the split.  [default: 0]")
@json_option
def convert(
    source: Path,
    to: str,
    out: Path,
    split: str | None,
    group_by: str,
    group_pattern: str,
    seed: int | None,
    as_json: bool,
) -> None:
    """Convert SOURCE to a YOLO folder or an ImageFolder.

    SOURCE is VOC, COCO, LabelImg files, a CSV of images and labels, optionally with box corners (x1, y1, x2,
    y2 in pixels), or any other format that training reads. SOURCE is not changed.

    Existing splits are kept. Without splits, the images are split at random; a group stays in one split. An
    ImageFolder made from boxes contains a crop of each object, by class.

    \b
    Example: mlops data convert VOCdevkit/VOC2007 --to yolo --out voc
             mlops data convert scans/ --to yolo --out scans-yolo --group-pattern '(patient\\d+)_'
    """
    from mlops.data.converting.convert import convert as run

    request = _request(split, group_by, group_pattern, seed)
    done = run(source, out, cast('Literal["yolo", "imagefolder"]', to), request)
    for warning in done.warnings:
        warn(f"{warning.place}: {warning.says}")
    show(done, as_json, _text(done))


def _request(split: str | None, group_by: str, group_pattern: str, seed: int | None) -> SplitRequest | None:
    """None if no option of the split is given."""
    from mlops.data.converting.convert import SplitRequest
    from mlops.data.grouping import Grouping

    if split is None and seed is None and not group_by and not group_pattern:
        return None
    train, val, test = _shares(split or "0.7,0.15,0.15")
    return SplitRequest(train, val, test, Grouping(group_by, group_pattern), seed or 0)


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, val, *rest = (float(part) for part in text.split(","))
        (test,) = rest or [0.0]
    except ValueError as error:
        raise BadSetting(
            "--split", "fractions", text, "two or three numbers, for example 0.7,0.15,0.15"
        ) from error
    return train, val, test


def _text(done: Converted) -> str:
    pictures = ", ".join(f"{count} {split}" for split, count in done.pictures.items())
    what = "boxes" if done.to == "yolo" else "files"
    splits = "splits kept" if done.kept_splits else "split at random"
    data = done.folder / "data.yaml" if done.to == "yolo" else done.folder
    return (
        f"{done.folder}: {pictures} images ({splits}), {done.written} {what}, {len(done.classes)} classes\n"
        f"Check it: mlops data check {data}"
    )


@data.command()
@click.argument("system")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Output folder: new, empty, or demo data to replace.  [default: demo/SYSTEM]",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Random seed; the same seed gives the same files."
)
@click.option(
    "--size",
    type=click.Choice(["small", "tiny"]),
    default="small",
    show_default=True,
    help="small: trains in minutes on two CPU cores; tiny: for smoke tests.",
)
@json_option
def demo(system: str, out: Path | None, seed: int, size: str, as_json: bool) -> None:
    """Generate demo data for SYSTEM: synthetic images with labels.

    Example: mlops data demo railway-detector --out rail --seed 7
    """
    from mlops.data.demo import demo_dataset, read_marker

    folder = demo_dataset(system, out or Path("demo") / system, seed, size)
    marker = read_marker(folder)
    assert marker is not None  # demo_dataset always writes one
    show(
        {"system": system, "folder": folder, "seed": seed, "size": size, "classes": marker.classes},
        as_json,
        f"{folder}: {len(marker.files)} files, {len(marker.classes)} classes\n"
        f"Train on it: mlops train {system} --data {folder}",
    )
