"""`mlops server`: an MLflow server over this directory's store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mlops.tracking.server import Server


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--store", default=None, help="Database to serve.  [default: mlflow.db in the working directory]"
)
def server(host: str, port: int, store: str | None) -> None:
    """Start an MLflow server and wait until it answers; Ctrl-C stops it.

    It serves what `mlops train` writes without a server: mlflow.db, and mlartifacts beside it.

    \b
    Example: mlops server
             mlops server --port 0
    """
    from mlops.tracking.home import home_folder
    from mlops.tracking.server import plan_server, start_server
    from mlops.tracking.store import DEFAULT_URI, absolute_uri

    plan = plan_server(absolute_uri(store or DEFAULT_URI), host, port, home_folder())
    click.echo(f"Starting MLflow on {plan.store}, which takes about 15 s ...", err=True)
    try:
        started = start_server(plan)
    except KeyboardInterrupt:
        click.echo("Stopped before it answered.", err=True)
        return
    click.echo(plan.url)
    click.echo(f"Log: {plan.log}. To train into it: MLFLOW_TRACKING_URI={plan.url} mlops train", err=True)
    _serve(started)


def _serve(started: Server) -> None:
    import signal

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):  # a background job of a shell starts with SIGINT ignored
        signal.signal(number, end)
    try:
        code = started.wait()
    except KeyboardInterrupt:
        started.stop()
        click.echo("Stopped.", err=True)
        return
    click.echo(
        f"mlops: the MLflow server ended with {code}; its last words are in {started.plan.log}", err=True
    )
    sys.exit(1)
