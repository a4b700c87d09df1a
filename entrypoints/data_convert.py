"""`mlops data convert`: VOC, COCO, LabelImg or a table to what training reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from entrypoints.output import json_option, show
from mlops.errors import BadSetting

if TYPE_CHECKING:
    from mlops.data.converting.convert import Converted, SplitRequest


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(["yolo", "imagefolder"]), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new or an empty folder.")
@click.option("--split", default=None, help="Shares of train,val,test.  [default: 0.7,0.15,0.15]")
@click.option("--group-by", default="", help="Column that tells what must stay in one split (patient).")
@click.option(
    "--group-pattern", default="", help="Regular expression that finds the group in a picture's path."
)
@click.option("--seed", default=None, type=int, help="Draws the split.  [default: 0]")
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
    """Write SOURCE as a YOLO folder or an ImageFolder.

    SOURCE is VOC, COCO, LabelImg's files, a CSV of pictures, labels and perhaps corners (x1, y1, x2, y2 in
    pixels), or any other set that training reads.

    Splits of the source are kept; otherwise they are drawn, a group staying in one of them. An ImageFolder
    made of boxes holds each object cut out, by class. SOURCE is only read.

    \b
    Example: mlops data convert VOCdevkit/VOC2007 --to yolo --out voc
             mlops data convert scans/ --to yolo --out scans-yolo --group-pattern '(patient\\d+)_'
    """
    from mlops.data.converting.convert import convert as run

    request = _request(split, group_by, group_pattern, seed)
    done = run(source, out, cast('Literal["yolo", "imagefolder"]', to), request)
    for warning in done.warnings:
        click.echo(f"warning: {warning.place}: {warning.says}", err=True)
    show(done, as_json, _text(done))


def _request(split: str | None, group_by: str, group_pattern: str, seed: int | None) -> SplitRequest | None:
    """None where nothing was asked for."""
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
        raise BadSetting("--split", "shares", text, "two or three numbers, as 0.7,0.15,0.15") from error
    return train, val, test


def _text(done: Converted) -> str:
    pictures = ", ".join(f"{count} {split}" for split, count in done.pictures.items())
    what = "boxes" if done.to == "yolo" else "files"
    splits = "splits kept" if done.kept_splits else "splits drawn"
    data = done.folder / "data.yaml" if done.to == "yolo" else done.folder
    return (
        f"{done.folder}: {pictures} pictures ({splits}), {done.written} {what}, {len(done.classes)} classes\n"
        f"Look it over: mlops data check {data}"
    )
