"""Print a result as text or as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mlops.redaction import redact_recorded, redact_values

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def show(value: object, as_json: bool, text: str) -> None:
    """Print `value` as JSON, or `text`, without secrets."""
    if as_json:
        text = json.dumps(redact_values(plain(value)), indent=2, ensure_ascii=False)
    else:
        text = redact_recorded(text)
    click.echo(text.encode(errors="backslashreplace").decode())  # a file name's bytes may be no UTF-8


def plain(value: object) -> object:
    """Convert dataclasses, pydantic models, paths, tuples, NaN and infinity to what JSON supports."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return value
