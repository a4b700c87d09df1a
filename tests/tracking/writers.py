"""Things that log, each run in a process of its own by the tests."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mlops.tracking import Tracker

METRICS = 20


def figures(step: int) -> dict[str, float]:
    return {f"val/figure_{n}": step + n / 100 for n in range(METRICS)}


def log_epochs(home: str, uri: str, key: str, first: int, last: int, deliver: bool) -> None:
    """Log epochs and print each number once it is accepted."""
    with Tracker(Path(home), uri, deliver=deliver) as tracker:
        run = tracker.start_run(key, experiment="writers", name=key)
        for step in range(first, last + 1):
            run.log_epoch(step, figures(step))
            print(step, flush=True)  # noqa: T201  the test reads it
            if deliver:
                time.sleep(0.005)  # an epoch takes time, in which the delivery thread works


if __name__ == "__main__":
    _, home, uri, key, first, last, deliver = sys.argv
    log_epochs(home, uri, key, int(first), int(last), deliver == "deliver")
