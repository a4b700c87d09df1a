"""`mlops server`: an MLflow server for the store of the working directory."""

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
    help="Port to listen on; 0: any free port.",
)
@click.option(
    "--store", default=None, help="Database to serve.  [default: mlflow.db in the working directory]"
)
def server(host: str, port: int, store: str | None) -> None:
    """Start an MLflow server and wait until it answers; Ctrl-C stops it.

    It serves the store that `mlops train` uses without a server: mlflow.db, and mlartifacts next to it.
    MLflow's background jobs are disabled unless MLFLOW_SERVER_ENABLE_JOB_EXECUTION=true.

    \b
    Example: mlops server
             mlops server --port 0
    """
    from mlops.files.home import home_folder
    from mlops.store.location import DEFAULT_URI, absolute_uri
    from mlops.store.server import plan_server, start_server

    plan = plan_server(absolute_uri(store or DEFAULT_URI, "--store"), host, port, home_folder())
    _let_signals_interrupt()
    note(f"Starting MLflow on {plan.store}, takes about 15 s ...")
    try:
        started = start_server(plan)
    except KeyboardInterrupt:
        note("Stopped before the server answered.")
        return
    _serve(started)


def _let_signals_interrupt() -> None:
    """Stop the server on SIGTERM, and on SIGINT, which shells ignore for background jobs."""
    import signal

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)


def _serve(started: Server) -> None:
    plan = started.plan
    try:
        click.echo(plan.url)
        note(f"Log: {plan.log}. Train with it: MLFLOW_TRACKING_URI={plan.url} mlops train")
        code = started.wait()
    except KeyboardInterrupt:
        started.stop()
        note("Stopped.")
        return
    sys.exit(fail(f"the MLflow server exited with status {code}; see {plan.log}", 1))
