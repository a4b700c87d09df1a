"""A progress bar for long work, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with (done, total); draws on stderr, and nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def tracked(items: Collection[T], title: str) -> Iterator[T]:
    """The items, with a bar that counts those that were worked on."""
    return counted(items, len(items), title)


def counted(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """As `tracked`, of `total` items that come one by one."""
    with bar(title) as shown:
        for done, item in enumerate(items, start=1):
            yield item
            shown(done, total)
