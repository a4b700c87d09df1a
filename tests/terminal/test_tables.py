"""Tables stay readable in a pipe, in a narrow terminal and with any text in a cell."""

from __future__ import annotations

import doctest
import os
import sys

import pytest
from rich.cells import cell_len

from mlops.terminal import tables
from mlops.terminal.tables import aligned


def test_the_example_is_what_it_gives() -> None:
    assert doctest.testmod(tables) == (0, 1)


def test_a_row_is_one_line_in_a_pipe_however_long() -> None:
    text = aligned([("a", "word " * 100), ("longer", "")], indent=2)
    assert text.splitlines() == ["  a       " + ("word " * 100).strip(), "  longer"]


def test_wide_characters_are_aligned_as_a_terminal_draws_them() -> None:
    first, second = aligned([("日本語", "1"), ("abc", "10")], right=[1]).splitlines()
    assert cell_len(first) == cell_len(second)


def test_a_cell_is_printed_as_it_is() -> None:
    assert aligned([("[bold]x[/bold]", ":smile:", "0.5")]) == "[bold]x[/bold]  :smile:  0.5"


def test_names_stay_whole_in_a_terminal_too_narrow_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
    assert (
        aligned([("blood-cell-classifier", "timm", "a headline")])
        == "blood-cell-classifier  timm  a headline"
    )


def test_a_long_last_cell_is_continued_below_itself_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((40, 24)))
    lines = aligned([("gate", "sentence"), ("recall", "word " * 20)]).splitlines()
    assert max(map(len, lines)) <= 40 and len(lines) > 3
    assert all(line.startswith("        word") for line in lines[2:])
    assert "".join(lines).count("word") == 20


def test_nothing_is_an_empty_text() -> None:
    assert aligned([]) == ""
