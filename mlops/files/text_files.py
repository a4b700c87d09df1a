"""Read a user's text, YAML and CSV files; an error is one line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import yaml

from mlops.errors import DataFault
from mlops.files.typed_yaml import NO_YAML


def read_text(file: Path) -> str:
    """The file's text, without a byte-order mark. Raises DataFault if it is not valid UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFault(f"{file}: not valid UTF-8; re-save it as UTF-8") from error


def read_yaml_file(file: Path) -> object:
    """The file's content as plain values. Raises DataFault if it is not valid YAML."""
    text = read_text(file)
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataFault(f"{file}:{line}: not valid YAML: {error.problem}") from error
    except NO_YAML as error:
        raise DataFault(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error


def read_table(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row's line (the last one of a multi-line row) and cells. Raises DataFault for invalid CSV."""
    text = read_text(file)
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(file, text))
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataFault(f"{file}:{reader.line_num}: not valid CSV: {error}") from error


def _delimiter(file: Path, text: str) -> str:
    """The delimiter: a tab for .tsv, else the most frequent of comma, semicolon and tab in the header."""
    if file.suffix.lower() == ".tsv":
        return "\t"
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)
