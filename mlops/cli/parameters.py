"""Types of the options: numbers in a finite range, short names, arguments that are text."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from mlops.errors import UserError, shown
from mlops.files.limits import ARGUMENT_CHARACTERS, NAME_CHARACTERS

MOST_SEED = 2**32 - 1  # the range that numpy, torch and Optuna's samplers share
MOST_TRIALS = 100_000
MOST_PROCESSES = 1024  # threads, concurrent trials
MOST_CALLS = 1_000_000  # calls that are timed, images that are compared
MOST_SECONDS = 30 * 86_400.0

SEED = click.IntRange(0, MOST_SEED)


class Number(click.FloatRange):
    """A finite number from `least` to `most`; `click.FloatRange` lets NaN pass."""

    def __init__(self, least: float, most: float) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number from {self.min:g} to {self.max:g}.", param, ctx)
        return number


class Name(click.types.StringParamType):
    """A name that becomes part of file names and tags."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(super().convert(value, param, ctx))
        if len(text) > NAME_CHARACTERS:
            self.fail(f"{len(text):,} characters; at most {NAME_CHARACTERS} are supported.", param, ctx)
        return text


NAME = Name()
_READ_FROM_ENVIRONMENT = ("MLOPS_", "MLFLOW_")


def refuse_odd_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise UserError for very long text, and for text that is not UTF-8, which cannot be stored."""
    for number, each in enumerate(arguments, start=1):
        _refuse(f"argument {number}", each)
    for name, value in environment.items():
        if name.startswith(_READ_FROM_ENVIRONMENT):
            _refuse(f"environment variable {name}", value)
    try:
        _refuse("the working directory", os.getcwd())  # noqa: PTH109 (before pathlib is needed)
    except FileNotFoundError as error:
        raise UserError("the working directory does not exist any more; change to another") from error


def _refuse(what: str, text: str) -> None:
    if len(text) > ARGUMENT_CHARACTERS:
        raise UserError(f"{what} has {len(text):,} characters; at most {ARGUMENT_CHARACTERS:,} are read")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{what} is {shown(text)}, which is not valid UTF-8; rename it") from error
