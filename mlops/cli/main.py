"""The entry point of the command line. Each command is a module, imported when it is called."""

from __future__ import annotations

import errno
import os
import sys

import click

from mlops import __version__
from mlops.cli.lazy_group import lazy_group
from mlops.cli.parameters import refuse_odd_arguments
from mlops.errors import EXTRA_OF, MissingPackage, MlopsError, Terminated
from mlops.machine.processors import prepare_environment
from mlops.redaction import keep_url_secrets, redact_output
from mlops.terminal.messages import fail

# errors that the user's choice of a path can cause; any other is a failure of the machine
MISTAKES = {
    errno.EACCES,
    errno.EEXIST,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENODEV,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
    errno.EROFS,
}

STOPPED = "stopped; run the same command again to resume"

# command -> (module, one line for --help); `mlops --help` imports none of the modules
COMMANDS: dict[str, tuple[str, str]] = {
    "systems": ("mlops.cli.systems", "List the systems, or show one: recipe, variants and search space."),
    "data": ("mlops.cli.data", "Generate demo data, check or convert a data set."),
    "train": ("mlops.cli.train", "Search, train, track and register one system."),
    "import-run": ("mlops.cli.import_run", "Import past runs into MLflow, with their original times."),
    "report": ("mlops.cli.report", "Write the training report of a run, a study or a model."),
    "evaluate": ("mlops.cli.evaluate", "Evaluate a version on held-out data; write a review page."),
    "compare": ("mlops.cli.compare", "Compare versions, runs or studies on the same samples."),
    "registry": ("mlops.cli.registry", "Judge versions by policy, change stages, roll back, verify."),
    "export": ("mlops.cli.export", "Export a version for deployment, with a certificate."),
    "sync": ("mlops.cli.sync", "Deliver the entries that wait in the outbox."),
    "server": ("mlops.cli.server", "Start an MLflow server and wait until it answers."),
    "doctor": ("mlops.cli.doctor", "Check this machine, the store and the outbox."),
}


@click.group(
    cls=lazy_group(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="mlops")
def cli() -> None:
    """Search, train, track and release vision models.

    \b
    Example: mlops train railway-detector --data rail/data.yaml --trials 20
             mlops systems oct-detector
    """


def main(*command: str) -> None:
    """Run the command line. An MlopsError is one line on stderr and its exit code.

    command: prepended to the arguments of the process, for the scripts of MLproject.
    """
    redact_output()  # also tracebacks, warnings and the logs of libraries
    prepare_environment()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # the search for plugins is slow
    sys.exit(run([*command, *sys.argv[1:]]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: see `mlops.errors`; 130 for Ctrl-C, 143 for SIGTERM."""
    for argument in arguments:
        keep_url_secrets(argument)
    try:
        refuse_odd_arguments(arguments, os.environ)
        cli.main(arguments, prog_name="mlops", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return fail(error.format_message().rstrip(".") + "." + _help_of(error), error.exit_code)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:  # click makes an Abort of whatever interrupts
        return fail(STOPPED, 143 if isinstance(stop.__cause__ or stop, Terminated) else 130)
    except MlopsError as error:
        return fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        return fail(str(MissingPackage("this command", package)), MissingPackage.exit_code)
    except OSError as error:
        if error.errno is None:
            raise
        where = error.filename or "a file"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return fail(f"{where}: no space left; free some space or choose another path, then retry", 2)
        if error.errno in MISTAKES:
            return fail(f"{where}: {error.strerror}; fix it or choose another path", 2)
        return fail(f"{where}: {error.strerror}", 1)
    return 0


def _help_of(error: click.ClickException) -> str:
    """The command that prints the help, for a usage error."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f" See `{context.command_path} --help`." if context is not None else ""
