"""An outbox of release 0.1, which has logins in it: all of it is kept, without them."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mlops.files.locks import ProcessLock
from mlops.tracking import Tracker
from mlops.tracking.delivery.book import DeliveryBook
from mlops.tracking.outbox.entries import EntryKind
from mlops.tracking.outbox.old_logins import lock_file

AWAY = "http://127.0.0.1:9"
OLD, NEW = "http://ann:s3cr3t-old@127.0.0.1:9", "http://ann:s3cr3t-new@127.0.0.1:9"


def log(home: Path, key: str, *steps: int) -> None:
    with Tracker(home, AWAY, deliver=False) as tracker:
        run = tracker.start_run(key, experiment="e", name=key)
        for step in steps:
            run.log_epoch(step, {"a": float(step)})


def as_release_0_1_left_it(home: Path, uri: str) -> None:
    """Put a login into the outbox: into the URIs of the clean runs, an error, a tag and a lock's name."""
    with closing(sqlite3.connect(home / "outbox.db", isolation_level=None)) as db:
        db.execute("UPDATE runs SET uri = ? WHERE uri = ?", (uri, AWAY))
        db.execute("UPDATE entries SET reason = ? WHERE reason IS NULL", (f"request to {uri} failed",))
        db.execute(
            "INSERT INTO entries (run, kind, at_ms, payload) SELECT max(id), 'tags', 1, ? FROM runs",
            (json.dumps({"mlops.failure": f"crashed: {uri}"}),),
        )
        db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (f"error {uri}", f"1.0 {uri} is down"))
    lock_file(home, uri).touch()


def bytes_of(home: Path) -> bytes:
    files = [path for path in home.rglob("*") if path.is_file()]
    return b"".join(path.name.encode() + path.read_bytes() for path in files)


def test_the_old_outbox_is_cleaned_and_all_of_it_is_kept(tmp_path: Path) -> None:
    log(tmp_path, "one", 1, 2)
    log(tmp_path, "two", 1)
    as_release_0_1_left_it(tmp_path, OLD)
    assert b"s3cr3t" in bytes_of(tmp_path)
    book = DeliveryBook(tmp_path)
    assert book.uris() == [AWAY]
    run = book.find_run(AWAY, "one")
    assert run is not None and [e.step for e in book.entries_of(run.id, EntryKind.METRICS)] == [1, 2]
    assert book.pending(AWAY) == 6
    book.close()
    assert b"s3cr3t" not in bytes_of(tmp_path)
    assert not list(tmp_path.glob("*s3cr3t*"))


def test_a_study_goes_on_in_the_run_that_was_recorded_last(tmp_path: Path) -> None:
    log(tmp_path, "study", 1, 2)
    as_release_0_1_left_it(tmp_path, OLD)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db, db:  # the password was changed then
        db.execute(
            "INSERT INTO runs (uri, key, uid, experiment, name, parent, adopt, tags, start_ms)"
            " SELECT ?, key, 'other', experiment, name, parent, adopt, tags, start_ms FROM runs",
            (NEW,),
        )
        db.execute(
            "INSERT INTO entries (run, kind, series, step, at_ms, payload)"
            " VALUES (2, 'metrics', 'epoch', 3, 1, '{\"a\": 3.0}')"
        )
    log(tmp_path, "study", 4)
    book = DeliveryBook(tmp_path)
    steps = {
        key: [e.step for e in book.entries_of(run, EntryKind.METRICS)]
        for run, key in ((1, book.run(1).key), (2, book.run(2).key))
    }
    assert steps == {"study~1": [1, 2], "study": [3, 4]}
    assert {book.run(1).uri, book.run(2).uri} == {AWAY}
    book.close()
    assert b"s3cr3t" not in bytes_of(tmp_path)


def test_processes_that_open_it_at_once_clean_it_once(tmp_path: Path) -> None:
    for number in range(30):
        log(tmp_path, f"run-{number}", 1)
    as_release_0_1_left_it(tmp_path, OLD)

    def opened(_: int) -> list[str]:
        book = DeliveryBook(tmp_path)
        try:
            return book.uris()
        finally:
            book.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, range(8))) == [[AWAY]] * 8
    book = DeliveryBook(tmp_path)
    assert book.pending(AWAY) == 61
    book.close()
    assert b"s3cr3t" not in bytes_of(tmp_path)


def test_bytes_that_a_reader_keeps_are_overwritten_at_the_next_opening(tmp_path: Path) -> None:
    log(tmp_path, "one", 1)
    as_release_0_1_left_it(tmp_path, OLD)
    with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()
        book = DeliveryBook(tmp_path)
        assert book.uris() == [AWAY], "the rows are clean at once"
        book.close()
        reader.execute("COMMIT")
    DeliveryBook(tmp_path).close()
    assert b"s3cr3t" not in bytes_of(tmp_path)


def test_a_lock_that_is_held_is_left(tmp_path: Path) -> None:
    log(tmp_path, "one", 1)
    as_release_0_1_left_it(tmp_path, OLD)
    held = ProcessLock(lock_file(tmp_path, OLD))
    assert held.take()
    DeliveryBook(tmp_path).close()
    assert lock_file(tmp_path, OLD).exists()
    held.release()


@pytest.mark.parametrize("uri", [AWAY, "sqlite:////tmp/a@b.db"])
def test_an_outbox_without_logins_is_not_written(tmp_path: Path, uri: str) -> None:
    with Tracker(tmp_path, uri, deliver=False) as tracker:
        tracker.start_run("r", experiment="e", name="n").set_tags({"see": "it"})
    before = bytes_of(tmp_path)
    DeliveryBook(tmp_path).close()
    assert bytes_of(tmp_path) == before
