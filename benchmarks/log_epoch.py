"""`Run.log_epoch` of 20 metrics beside mlflow and wandb: how long the caller waits.

Ours has the row in the outbox when the call returns, safe from the death of the process (SQLite's WAL with
synchronous NORMAL: no fsync in the call, so a power cut may take what came after the last `barrier`). The
peers: MLflow on a SQLite file with no server between, which is kinder to it than a server is, and `wandb`
offline. In turn, in blocks, on the same disk.

    python benchmarks/log_epoch.py
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

METRICS, BLOCK = 20, 50
BLOCKS = int(os.environ.get("BLOCKS", "20"))
MLFLOW_CALLS = 5  # in each block: its calls are a hundred times slower
EPOCH_S = 0.002  # between two calls, the time in which a trainer works and a peer's thread may

Log = Callable[[int, dict[str, float]], None]


def figures(step: int) -> dict[str, float]:
    return {f"val/figure_{n}": step + n / 100 for n in range(METRICS)}


def waits_ms(log: Log, first: int, count: int) -> list[float]:
    """How long each of `count` calls kept its caller, in ms."""
    waits = []
    for step in range(first, first + count):
        metrics = figures(step)
        start = time.perf_counter()
        log(step, metrics)
        waits.append((time.perf_counter() - start) * 1000)
        time.sleep(EPOCH_S)
    return waits


def main() -> None:
    os.environ.update(WANDB_SILENT="true", WANDB_MODE="offline", MLFLOW_DISABLE_TELEMETRY="true")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        measured = measure(Path(folder))
    own, peer = (statistics.median(measured[name]) for name in ("mlops log_epoch", "wandb offline"))
    print(f"blocking time of one call with {METRICS} metrics, ms")
    for name, waits in measured.items():
        median, p99 = statistics.median(waits), sorted(waits)[int(len(waits) * 0.99)]
        print(f"{name:<22} median {median:8.3f}  p99 {p99:8.3f}  x{median / own:7.1f}  ({len(waits)} calls)")
    well = own <= 0.1 and own <= peer / 2
    print(f"to reach: median <= 0.1 ms and <= half of wandb's: {'yes' if well else 'NO'}")


def measure(folder: Path) -> dict[str, list[float]]:
    import mlflow
    import wandb
    from mlflow import MlflowClient

    from mlops.tracking import Tracker, ensure_store

    store = f"sqlite:///{folder / 'mlflow.db'}"
    ensure_store(store)
    mlflow.set_tracking_uri(store)
    run_id = MlflowClient(store).create_run("0").info.run_id
    board = wandb.init(project="bench", dir=str(folder), settings=wandb.Settings(console="off"))

    def peer(step: int, metrics: dict[str, float], synchronous: bool) -> None:
        mlflow.log_metrics(metrics, step=step, run_id=run_id, synchronous=synchronous)

    with Tracker(folder / "home", store, deliver=False) as tracker:
        run = tracker.start_run("bench", experiment="bench", name="bench")
        peers: dict[str, tuple[int, Log]] = {
            "mlops log_epoch": (BLOCK, run.log_epoch),
            "wandb offline": (BLOCK, lambda step, metrics: board.log(metrics, step=step)),
            "mlflow synchronous": (MLFLOW_CALLS, lambda step, metrics: peer(step, metrics, True)),
            "mlflow asynchronous": (MLFLOW_CALLS, lambda step, metrics: peer(step, metrics, False)),
        }
        measured: dict[str, list[float]] = {name: [] for name in peers}
        for block in range(BLOCKS):
            for name, (count, log) in peers.items():
                measured[name] += waits_ms(log, 1 + block * BLOCK, count)
                if name == "mlflow asynchronous":
                    mlflow.flush_async_logging()
        assert run.last_step() == BLOCKS * BLOCK
    board.finish()
    return measured


if __name__ == "__main__":
    main()
