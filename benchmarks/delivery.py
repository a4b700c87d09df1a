"""Delivery of an outbox to a local MLflow server beside raw `log_batch` of 1000, in metrics a second.

Ours counts all from `sync` to its return: making the run, reading the outbox, marking what was delivered. The
peer has its metrics made beforehand. In turn, on one server over SQLite. To reach: at least 0.9 of it.

    python benchmarks/delivery.py
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

METRICS, BATCH = 20, 1000
EPOCHS = int(os.environ.get("EPOCHS", "1500"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def figures(step: int) -> dict[str, float]:
    return {f"val/figure_{n}": step + n / 100 for n in range(METRICS)}


def ours(home: Path, url: str, number: int) -> float:
    """Metrics a second from the outbox to the server."""
    from mlops.tracking import Tracker

    with Tracker(home, url, deliver=False) as tracker:
        run = tracker.start_run(f"ours {number}", experiment="bench", name=f"ours {number}")
        for step in range(1, EPOCHS + 1):
            run.log_epoch(step, figures(step))
        start = time.perf_counter()
        report = tracker.sync(None)
        assert report.left == 0, report
        return EPOCHS * METRICS / (time.perf_counter() - start)


def raw(url: str, number: int) -> float:
    """Metrics a second of `log_batch`, 1000 at a time."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(url)
    run_id = client.create_run("0", run_name=f"raw {number}").info.run_id
    points = [
        Metric(name, value, 1_700_000_000_000 + step, step)
        for step in range(1, EPOCHS + 1)
        for name, value in figures(step).items()
    ]
    batches = [points[at : at + BATCH] for at in range(0, len(points), BATCH)]
    start = time.perf_counter()
    for batch in batches:
        client.log_batch(run_id, metrics=batch)
    return EPOCHS * METRICS / (time.perf_counter() - start)


def main() -> None:
    from mlops.store.server import plan_server, start_server

    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        home = Path(folder)
        server = start_server(plan_server(f"sqlite:///{home / 'mlflow.db'}", "127.0.0.1", 0, home))
        try:
            raw(server.plan.url, 0)  # the server's first requests are slower
            pairs = [(ours(home, server.plan.url, n), raw(server.plan.url, n)) for n in range(1, ROUNDS + 1)]
        finally:
            server.stop()
    own, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    each = ", ".join(f"{a / b:.2f}" for a, b in pairs)
    print(f"{EPOCHS * METRICS} metrics a round, {ROUNDS} rounds in turn, server on SQLite")
    print(f"mlops delivery   median {own:7.0f} metrics/s")
    print(f"raw log_batch    median {peer:7.0f} metrics/s")
    print(
        f"ratio            {ratio:.2f} (rounds: {each})   to reach: >= 0.9: {'yes' if ratio >= 0.9 else 'NO'}"
    )


if __name__ == "__main__":
    main()
