"""`mlops sync`: deliver the entries that wait in the outbox."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import MOST_SECONDS, Number
from mlops.terminal.messages import fail
from mlops.terminal.progress import bar
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from pathlib import Path

    from mlops.tracking.outbox.entries import Rejected


@dataclass(frozen=True, slots=True)
class StoreSync:
    """Result of the delivery to one store."""

    store: str
    delivered: int
    left: int
    error: str | None
    rejected: tuple[Rejected, ...]


@click.command()
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(0, MOST_SECONDS),
    default=None,
    help="Give up after this many seconds.",
)
@click.option("--retry-rejected", is_flag=True, help="Retry the entries that the store has rejected.")
@click.option("--retry-rejected-if", hidden=True, default=False, type=bool)  # MLproject cannot give a flag
@json_option
def sync(timeout_s: float | None, retry_rejected: bool, retry_rejected_if: bool, as_json: bool) -> None:
    """Deliver the entries that wait in the outbox, such as metrics and version registrations.

    Entries that cannot be delivered stay in the outbox. Exits with status 1 if any remain.

    \b
    Example: mlops sync
             mlops sync --retry-rejected
    """
    from mlops.files.home import home_folder

    home = home_folder()
    if not (home / "outbox.db").is_file():
        show([], as_json, f"Nothing to deliver: no outbox in {home}.")
        return
    results = _sync_all(home, timeout_s, retry_rejected or retry_rejected_if)
    show(results, as_json, _as_text(results))
    waiting = [r for r in results if r.left]
    refused = sum(len(r.rejected) for r in results)
    if waiting:
        sys.exit(fail(f"{sum(r.left for r in waiting)} entries not delivered: {waiting[0].error}", 1))
    if refused:
        text = f"the store rejected {refused} entries; fix the cause, then run: mlops sync --retry-rejected"
        sys.exit(fail(text, 1))


def _sync_all(home: Path, timeout_s: float | None, retry_rejected: bool) -> list[StoreSync]:
    from mlops.store.credentials import store_uri
    from mlops.tracking import Tracker
    from mlops.tracking.delivery.book import DeliveryBook

    book = DeliveryBook(home)
    if retry_rejected:
        book.retry_rejected()
    results = []
    uris = book.uris()
    for uri in uris:
        store_uri(uri)  # each store is known before a login is sent to one of them
    for uri in uris:
        with Tracker(home, uri, deliver=False) as tracker, delivery_bar(uri) as on_progress:
            report = tracker.sync(timeout_s, on_progress)
        refused = tuple(book.rejected(uri))
        results.append(StoreSync(uri, report.delivered, report.left, report.error, refused))
    book.close()
    return results


@contextmanager
def delivery_bar(store: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with (done, left)."""
    with bar(store) as shown:
        yield lambda done, left: shown(done, done + left)


def _as_text(results: list[StoreSync]) -> str:
    rows = [("delivered", "left", "rejected", "store")]
    rows += [(str(r.delivered), str(r.left), str(len(r.rejected)), r.store) for r in results]
    rejected = [each for result in results for each in result.rejected]
    lines = [f"  rejected: run {r.run_key}, {r.kind} {r.what}: {r.reason}" for r in rejected]
    return "\n".join([aligned(rows, right=[0, 1, 2]), *lines])
