"""Delivery of the outbox to MLflow, by one thread on this machine at a time.

Each round processes the runs with pending entries. Metrics, params and tags of a run are sent together by
`log_batch`; files, data sets, models and the run's end follow one by one. An entry is marked as delivered
after the store's answer. If the store is unavailable, the round ends and is retried later. An entry that the
store rejects is kept with the reason, and the others continue.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops.files.locks import ProcessLock
from mlops.store.refusals import in_words
from mlops.tracking.delivery.book import DeliveryBook
from mlops.tracking.delivery.rounds import Round, RoundReport
from mlops.tracking.outbox.old_logins import lock_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_POLL_S = 1.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Result of a sync: entries delivered, entries left, and the reason for those left."""

    delivered: int
    left: int
    error: str | None


class Deliverer:
    """The delivery of one outbox to one store. `start` runs it in the background, `sync` waits for it."""

    def __init__(self, home: Path, uri: str) -> None:
        self._home, self._uri = home, uri
        self._lock = ProcessLock(lock_file(home.resolve(), uri))
        self._error_note, self._ask_note = f"error {uri}", f"asked {uri}"
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._own_error: tuple[float, str] | None = None  # an error that could not be written to the outbox

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, name="mlops delivery", daemon=True)
            self._thread.start()

    def stop(self, wait_s: float = 5.0) -> None:
        """Finish the current batch, and leave the rest to the next deliverer."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def wake(self) -> None:
        if not self._wake.is_set():
            self._wake.set()

    def sync(
        self, timeout_s: float | None, on_progress: Callable[[int, int], None] | None = None
    ) -> SyncReport:
        """See `Tracker.sync`. If another process delivers this outbox, wait for it."""
        started = time.time()
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        outbox = DeliveryBook(self._home)
        at_first, most = outbox.counts(self._uri), 0
        was_running = self._thread is not None and self._thread.is_alive()
        outbox.set_note(self._ask_note, repr(started))
        self.start()
        self.wake()
        try:
            while True:
                left, error = outbox.pending(self._uri), self._error_since(outbox, started)
                most = max(most, left)
                if on_progress is not None:
                    on_progress(most - left, left)
                if left and error is None and ends is not None and time.monotonic() > ends:
                    error = "the time limit was reached"
                if not left or error is not None:
                    delivered = outbox.counts(self._uri).delivered - at_first.delivered
                    return SyncReport(delivered, left, error if left else None)
                time.sleep(0.1)
        finally:
            outbox.close()
            if not was_running:
                self.stop()

    def _error_since(self, outbox: DeliveryBook, moment: float) -> str | None:
        """The error of a round that began after `moment`, by any process."""
        if self._own_error is not None and self._own_error[0] >= moment:
            return self._own_error[1]
        note = outbox.note(self._error_note)
        if note is None:
            return None
        at, _, text = note.partition(" ")
        return text if text and float(at) >= moment else None

    def _work(self) -> None:
        outbox = DeliveryBook(self._home)
        try:
            while not self._stop.is_set() and not self._lock.take():
                self._stop.wait(_POLL_S)  # another process delivers: take over when it ends
            if not self._stop.is_set():
                outbox.spool.drop_orphans(outbox.spooled())
                self._deliver_until_stopped(outbox)
        finally:
            self._lock.release()
            outbox.close()

    def _deliver_until_stopped(self, outbox: DeliveryBook) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stop.is_set():
            self._wake.clear()
            began = time.time()
            report = self._one_round(outbox, began)
            if report is None:
                self._wake.wait(_POLL_S)
            elif report.error is None:
                wait_s = _FIRST_WAIT_S
                self._pause(outbox, _POLL_S, began)  # entries logged in the meantime are sent together
            else:
                self._pause(outbox, wait_s, began)
                wait_s = _FIRST_WAIT_S if report.delivered else min(2 * wait_s, _LONGEST_WAIT_S)

    def _one_round(self, outbox: DeliveryBook, began: float) -> RoundReport | None:
        """Deliver pending entries and note the result; None if nothing is pending."""
        try:
            if not outbox.waiting_runs(self._uri):
                return None
            report = Round(outbox, self._uri, self._stop.is_set).run()
            outbox.set_note(self._error_note, f"{began!r} {report.error or ''}")
        except Exception as error:  # noqa: BLE001  delivery continues after any error; `sync` reports it
            self._own_error = (began, in_words(error, self._uri))
            return RoundReport(0, self._own_error[1])
        return report

    def _pause(self, outbox: DeliveryBook, wait_s: float, began: float) -> None:
        """Wait before the next round, unless one is requested."""
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends and not self._stop.wait(0.1):
            if self._asked_after(outbox, began):
                return

    def _asked_after(self, outbox: DeliveryBook, moment: float) -> bool:
        asked = outbox.note(self._ask_note)
        return asked is not None and float(asked) > moment
