"""`mlops registry measure`: time a version's ONNX file here, for its latency and size gates."""

from __future__ import annotations

import click

from entrypoints.output import json_option, show
from entrypoints.registry_options import connected, number_of


@click.command()
@click.argument("model")
@click.argument("version")
@click.option("--calls", type=click.IntRange(20), default=100, show_default=True, help="Runs to time.")
@click.option(
    "--threads", type=click.IntRange(0), default=0, show_default=True, help="For one operator; 0: one a core."
)
@json_option
def measure(model: str, version: str, calls: int, threads: int, as_json: bool) -> None:
    """Time the ONNX file of VERSION (a number or @alias) of MODEL here, on the processor, and keep what was
    found with the version.

    \b
    Example: mlops registry measure blood-cell-classifier 3
    """
    from registry.evidence.latency import measure_version

    client = connected()
    number = number_of(client, model, version)
    found = measure_version(client, model, number, calls=calls, threads=threads)
    says = (
        f"{model}/{number}: p50 {found.p50_ms:.2f} ms, p95 {found.p95_ms:.2f} ms of {found.calls} calls, "
        f"{found.size_bytes / 1e6:.2f} MB, on {found.device}"
    )
    show(found, as_json, says)
