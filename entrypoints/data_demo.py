"""`mlops data demo`: write the demo data of a system."""

from __future__ import annotations

from pathlib import Path

import click

from entrypoints.output import json_option, show


@click.command()
@click.argument("system")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder to write to: new, empty, or demo data to replace.  [default: demo/SYSTEM]",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--size",
    type=click.Choice(["small", "tiny"]),
    default="small",
    show_default=True,
    help="small: what two cores train on in minutes; tiny: just enough to try a command.",
)
@json_option
def demo(system: str, out: Path | None, seed: int, size: str, as_json: bool) -> None:
    """Write demo data for SYSTEM: pictures made by code, with labels.

    Example: mlops data demo railway-detector --out rail --seed 7
    """
    from mlops.data.demo import demo_dataset, read_marker

    folder = demo_dataset(system, out or Path("demo") / system, seed, size)
    marker = read_marker(folder)
    assert marker is not None  # demo_dataset leaves no folder without one
    show(
        {"system": system, "folder": folder, "seed": seed, "size": size, "classes": marker.classes},
        as_json,
        f"{folder}: {len(marker.files)} files, {len(marker.classes)} classes\n"
        f"Train on it: mlops train {system} --data {folder}",
    )
