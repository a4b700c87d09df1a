"""`mlops data`: demo data, checks, conversions."""

from __future__ import annotations

import click

from entrypoints.lazy import lazy_group

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("entrypoints.data_demo", "Write demo data of a system."),
    "check": ("entrypoints.data_check", "List everything that is wrong with a data set."),
    "convert": ("entrypoints.data_convert", "Turn VOC, COCO or a table into what training reads."),
}


@click.group(cls=lazy_group(COMMANDS))
def data() -> None:
    """Make demo data, check a data set, convert one.

    \b
    Example: mlops data check rail/data.yaml
             mlops data demo railway-detector --out rail
    """
