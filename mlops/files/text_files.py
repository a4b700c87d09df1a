"""Read text documents from outside: YAML, JSON, CSV, XML and plain text, each within `mlops.files.limits`.

An error is one line. It does not print what a linked file contains, as a link may lead to any file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from mlops.errors import DataFault, UserError, brief, shown
from mlops.files import limits
from mlops.files.bounded_yaml import NO_YAML, load
from mlops.files.regular_files import leads_out, read_regular

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def quoted(value: object, file: Path) -> str:
    """`value`, read from `file`, for a message: shortened, and not printed if the file is linked."""
    return "a value that is not printed, as the file is linked" if leads_out(file) else shown(value)


def bare(text: object, file: Path) -> str:
    """The same without quotation marks, for names and numbers that are written as a text."""
    short = isinstance(text, str) and len(text) <= 200 and not leads_out(file)
    return str(text) if short else quoted(text, file)


@contextmanager
def unquoted_if_link(file: Path, what: str) -> Iterator[None]:
    """Replace a UserError from the block, which may quote the file, if the file is a link."""
    try:
        yield
    except UserError as error:
        if not leads_out(file):
            raise
        says = f"{file}: not a valid {what}; its content is not printed, as the file is a link"
        raise UserError(says) from error


def read_text(
    file: Path,
    most_bytes: int = limits.SMALL_FILE_BYTES,
    fault: type[UserError] = DataFault,
    *,
    nul: Literal["refuse", "cut"] = "refuse",
) -> str:
    """The file's text, without a byte-order mark. nul: see `read_regular`.

    Raises `fault` if it is not a regular file, too large, or not valid UTF-8; OSError.
    """
    content = read_regular(file, most_bytes, fault, nul=nul)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(f"{file}: not valid UTF-8 (byte {error.start}); re-save it as UTF-8") from error


def read_yaml_file(file: Path, fault: type[UserError] = DataFault) -> object:
    """The file's content as plain values. Raises `fault` if it is not valid YAML, or above a limit."""
    text = read_text(file, limits.YAML_BYTES, fault)
    try:
        return load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise fault(f"{file}:{line}: not valid YAML: {_unless_link(error.problem, file)}") from error
    except NO_YAML as error:
        raise fault(f"{file}: not valid YAML: {_unless_link(error, file)}") from error


def read_json(file: Path, most_bytes: int = limits.JSON_BYTES, fault: type[UserError] = DataFault) -> Any:
    """The file's content. Raises `fault` if it is not valid JSON, or above a limit."""
    text = read_text(file, most_bytes, fault)
    _refuse_dense(text, file, fault)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise fault(f"{file}:{error.lineno}: not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise fault(f"{file}: nested too deeply: more than {limits.NESTING} levels") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise fault(f"{file}: not valid JSON: {_unless_link(error, file)}") from error
    if _HALF_A_CHARACTER.search(text) and not _is_unicode(content):
        raise fault(
            f"{file}: contains half a character (a lone surrogate, such as \\ud800); correct that text"
        )
    return content


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])', re.DOTALL)
_HALF_A_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]"
)


def _refuse_dense(text: str, file: Path, fault: type[UserError]) -> None:
    """Raise `fault` for a document that is nested deeply, or takes far more memory than its size."""
    if len(text) > limits.JSON_DENSE_BYTES:
        containers = text.count("{") + text.count("[")
        if containers * limits.JSON_BYTES_A_CONTAINER > len(text):
            raise fault(
                f"{file}: {containers:,} lists and objects in {len(text):,} bytes are too many to read"
            )
    if len(text) > limits.JSON_SCANNED_BYTES:
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += 1 if token[1] else -1 if token[2] else 0
        if depth > limits.NESTING:
            raise fault(f"{file}: nested too deeply: more than {limits.NESTING} levels")


def _is_unicode(content: object) -> bool:
    """Whether every text in it can be written as UTF-8."""
    waiting = [content]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            try:
                each.encode()
            except UnicodeEncodeError:
                return False
        elif isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
    return True


def read_xml(file: Path) -> tuple[Element, bytes]:
    """The root element, and the bytes that were parsed. Raises DataFault for invalid XML and for entities."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    content = bytes(read_regular(file, limits.ANNOTATION_BYTES))
    try:
        return fromstring(content), content
    except ParseError as error:
        says = _unless_link(str(error.msg), file)
        raise DataFault(f"{file}:{error.position[0]}: not valid XML: {says}") from error
    except DefusedXmlException as error:
        raise DataFault(f"{file}: the XML has an unsafe construct: {_unless_link(error, file)}") from error
    except (ValueError, LookupError) as error:  # an encoding that expat does not know, such as GB2312
        says = _unless_link(error, file)
        raise DataFault(f"{file}: not valid XML: {says}; re-save it as UTF-8") from error


def read_table(file: Path, fault: type[UserError] = DataFault) -> Iterator[tuple[int, list[str]]]:
    """Each row's line (the last one of a multi-line row) and cells. Raises `fault` for invalid CSV."""
    content = read_regular(file, limits.TABLE_BYTES, fault)
    try:
        with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="") as text:
            delimiter = _delimiter(file, text.readline(limits.TABLE_CELL_CHARACTERS))
            text.seek(0)
            reader = csv.reader(text, delimiter=delimiter)
            try:
                for number, cells in enumerate(reader):
                    if number > limits.TABLE_ROWS:
                        raise fault(f"{file}: more than {limits.TABLE_ROWS:,} rows; divide the table")
                    yield reader.line_num, cells
            except csv.Error as error:
                raise fault(f"{file}:{reader.line_num}: not valid CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise fault(f"{file}: not valid UTF-8; re-save it as UTF-8") from error


def _delimiter(file: Path, header: str) -> str:
    """The delimiter: a tab for .tsv, else the most frequent of comma, semicolon and tab in the header."""
    return "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=header.count)


def _unless_link(problem: object, file: Path) -> str:
    """A parser's message, which may repeat parts of the file."""
    if leads_out(file):
        return "its content is not printed, as the file is linked"
    return brief(problem)
