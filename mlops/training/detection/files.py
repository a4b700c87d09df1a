"""What the library leaves behind: its table of results, its pictures, its label cache."""

from __future__ import annotations

import csv
import io
import threading
from typing import TYPE_CHECKING

from mlops.training.durable import write_durably

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "weights"


def cut_results(results: Path, last_epoch: int) -> None:
    """Drop the rows of `results.csv` after `last_epoch`, so that an epoch that is done again has one row."""
    if not results.exists():
        return
    rows = list(csv.reader(io.StringIO(results.read_text(encoding="utf-8"))))
    kept = rows[:1] + [row for row in rows[1:] if _epoch_of(row) <= last_epoch]
    if kept != rows:
        write_durably(results, "".join(",".join(row) + "\n" for row in kept).encode())


def _epoch_of(row: list[str]) -> float:
    try:
        return float(row[0])
    except (IndexError, ValueError):
        return float("inf")  # a row cut short by a kill is done again


def kept_files(folder: Path, under: str) -> dict[Path, str]:
    """Every file worth keeping in a folder of the library, to the artifact folder it belongs in."""
    wait_for_pictures()
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path: WEIGHTS if path.parent.name == WEIGHTS else under for path in found}


def wait_for_pictures(within_s: float = 60.0) -> None:
    """The library draws pictures of batches in threads; wait until they are written."""
    for thread in threading.enumerate():
        if "plot_images" in thread.name:
            thread.join(within_s)
