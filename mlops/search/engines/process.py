"""The plain engine: this process takes trial after trial."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mlops.errors import Terminated
from mlops.search.trial import Bench, run_trial


def work(bench: Bench, budget: int, forgiven: int, stopped: Callable[[], bool] = lambda: False) -> None:
    """Run trials until the study holds `budget` of them, see `Study.claim`, or `stopped` says so."""
    while not stopped() and (claim := bench.study.claim(budget, forgiven)) is not None:
        try:
            run_trial(bench, claim)
        finally:
            claim.lock.give_back()


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: cleanly, with runs marked KILLED."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
