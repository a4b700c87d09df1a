"""Progress bars on a terminal; nothing is drawn elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

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


@contextmanager
def byte_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields what to call with the number of bytes that were added; drawn as `bar`, where there are any."""
    if not total or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def status(title: str) -> Iterator[Callable[[str], None]]:
    """Yields what to call with the step that begins; drawn after `title` as `bar` draws, for work of unknown
    length.
    """
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as spinner:
        yield lambda step: spinner.update(f"{title} {step}")


def tracked(items: Collection[T], title: str) -> Iterator[T]:
    """The items, with a bar that counts those that were worked on."""
    return counted(items, len(items), title)


def counted(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """As `tracked`, of `total` items that come one by one."""
    with bar(title) as shown:
        for done, item in enumerate(items, start=1):
            yield item
            shown(done, total)


_watchers: list[Callable[[int], None]] = []


@contextmanager
def watched_batches(watcher: Callable[[int], None]) -> Iterator[None]:
    """Call `watcher` with the epoch (from 1) after each training batch in this process, bar or not."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


SCORES = ("mAP50", "mAP50-95", "accuracy", "macro_f1")


class EpochBar:
    """Shows on standard error. `wanted` False, or no terminal there: every method does nothing."""

    def __init__(self, wanted: bool, epochs: int) -> None:
        self._epochs = epochs
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._wanted = wanted and sys.stderr.isatty()
        self._epoch = 0

    def start(self, epoch: int, batches: int) -> None:
        self._epoch = epoch
        if not self._wanted:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.stop()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} batches"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(f"epoch {epoch}/{self._epochs}", total=batches)
        self._bar.start()

    def advance(self) -> None:
        for watcher in _watchers:
            watcher(self._epoch)
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

    def done(self, epoch: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Print the line of a finished epoch above where its bar was."""
        if self._bar is None:
            return
        console = self._bar.console
        self.stop()
        console.print(epoch_line(epoch, self._epochs, metrics, seconds), highlight=False)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None


def epoch_line(epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float) -> str:
    """`epoch  3/300  box 1.234  cls 0.987  dfl 1.100  mAP50 0.345  mAP50-95 0.201  12.3 s`"""
    losses = [
        f"{name.removeprefix('train/').removesuffix('_loss')} {value:.3f}"
        for name, value in metrics.items()
        if name.startswith("train/") and name.endswith("loss")
    ]
    found = {name: metrics.get(f"val/{name}") for name in SCORES}
    scores = [f"{name} {value:.3f}" for name, value in found.items() if value is not None]
    width = len(str(epochs))
    return "  ".join([f"epoch {epoch:>{width}}/{epochs}", *losses, *scores, f"{seconds:.1f} s"])
