"""What a process locks in the outbox stays locked while it syncs and while others come and go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlops.tracking.outbox.entries import EntryKind
from mlops.tracking.outbox.recorder import Outbox

_TAKE_THE_LOG_AWAY = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = DELETE")
    print("alone")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_a_barrier_leaves_the_database_locked(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    run, _ = outbox.open_run("sqlite:///x", "k", experiment="e", name="n", parent=None, adopt="", tags={})
    outbox.accept(run.id, EntryKind.METRICS, {"a": 1.0}, series="epochs", step=1)
    outbox.barrier()
    Outbox(tmp_path).close()
    command = [sys.executable, "-c", _TAKE_THE_LOG_AWAY, str(outbox.path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "locked" in said, "another process could take the log away from under this one"
