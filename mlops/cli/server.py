"""`mlops server`: an MLflow server over this directory's store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mlops.terminal.messages import fail, note

if TYPE_CHECKING:
    from mlops.store.server import Server


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--store", default=None, help="Database to serve.  [default: mlflow.db in the working directory]"
)
def server(host: str, port: int, store: str | None) -> None:
    """Start an MLflow server and wait until it answers; Ctrl-C stops it.

    It serves what `mlops train` writes without a server: mlflow.db, and mlartifacts beside it. MLflow's own
    background jobs, which are for language models, are off unless MLFLOW_SERVER_ENABLE_JOB_EXECUTION=true.

    \b
    Example: mlops server
             mlops server --port 0
    """
    from mlops.files.home import home_folder
    from mlops.store.location import DEFAULT_URI, absolute_uri
    from mlops.store.server import plan_server, start_server

    plan = plan_server(absolute_uri(store or DEFAULT_URI, "--store"), host, port, home_folder())
    _let_signals_interrupt()
    note(f"Starting MLflow on {plan.store}, which takes about 15 s ...")
    try:
        started = start_server(plan)
    except KeyboardInterrupt:
        note("Stopped before it answered.")
        return
    _serve(started)


def _let_signals_interrupt() -> None:
    """Have SIGTERM stop the server too, and SIGINT, which a shell's background job starts with ignored."""
    import signal

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)


def _serve(started: Server) -> None:
    plan = started.plan
    try:
        click.echo(plan.url)
        note(f"Log: {plan.log}. To train into it: MLFLOW_TRACKING_URI={plan.url} mlops train")
        code = started.wait()
    except KeyboardInterrupt:
        started.stop()
        note("Stopped.")
        return
    sys.exit(fail(f"the MLflow server ended with {code}; its last words are in {plan.log}", 1))
