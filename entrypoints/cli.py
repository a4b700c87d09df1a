"""`mlops`: the one command line. Each command lives in a module of its own and is imported when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from mlops import __version__
from mlops.errors import MlopsError

# command -> (module, one line for --help): the help of `mlops` itself imports none of them
COMMANDS: dict[str, tuple[str, str]] = {
    "systems": ("entrypoints.systems", "List the systems, or show one: recipe, variants and search space."),
    "data": ("entrypoints.data", "Make demo data, check a data set, convert one."),
    "train": ("entrypoints.train", "Search, train, track and register one system."),
    "sync": ("entrypoints.sync", "Deliver what an outage kept back."),
    "server": ("entrypoints.server", "Start an MLflow server and wait until it answers."),
    "doctor": ("entrypoints.doctor", "Look over this machine, the store and the outbox."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only to run it or to print its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mlops")
def cli() -> None:
    """Search, train, track and release vision models.

    \b
    Example: mlops train railway-detector --data rail/data.yaml --trials 20
             mlops systems oct-detector
    """


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and its own exit code."""
    try:
        cli()
    except MlopsError as error:
        message = " ".join(str(error).split())
        click.echo(f"mlops: {message}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno is None:
            raise
        click.echo(f"mlops: {error.strerror}: {error.filename or 'no file named'}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
