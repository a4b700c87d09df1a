"""Time and memory of a report: of one long run and of a large study, from a server and directly.

The store is filled by SQL, as recording half a million figures is not what is measured. The report is made by
the command itself, in a process of its own, figures drawn and logged to the run.

    python benchmarks/report.py [--epochs 300] [--trials 500] [--trial-epochs 100]
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops.store.location import ensure_store
from mlops.store.server import plan_server, start_server
from mlops.tracking.system_metrics import SERIES

STARTED_MS, EPOCH_MS = 1_757_427_471_000, 30_000
CLASSES = ("niaocao", "piaofuwu", "qiqiu", "suliaodai")
OF_AN_EPOCH = (
    *(f"{split}/{loss}_loss" for split in ("train", "val") for loss in ("box", "cls", "dfl")),
    *(f"val/{name}" for name in ("precision", "recall", "mAP50", "mAP50-95")),
    *(f"val/AP50/{name}" for name in CLASSES),
    *("lr/weight", "lr/bn", "lr/bias", "time/epoch_s", "time/images_per_s"),
)
OF_THE_MACHINE = (
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "gpu_0_utilization_percentage",
)


class Filler:
    """Writes runs into MLflow's own tables."""

    def __init__(self, database: Path) -> None:
        self.db = sqlite3.connect(database)
        self.artifacts = database.parent / "mlartifacts"
        self.random = random.Random(0)
        with self.db:
            self.db.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
                "VALUES (1, 'railway-detector', ?, 'active')",
                (self.artifacts.as_uri(),),
            )

    def run(self, name: str, epochs: int, parent: str = "", **tags: str) -> str:
        run_id, last = uuid.uuid4().hex, STARTED_MS + epochs * EPOCH_MS
        tags = {"mlflow.runName": name, "mlops.system": "railway-detector"} | {
            f"mlops.{key}": value for key, value in tags.items()
        }
        tags |= {"mlflow.parentRunId": parent} if parent else {}
        params = {f"setting_{i}": str(i) for i in range(38)} | {"epochs": str(epochs), "model": "yolo11n"}
        params |= {
            "lr0": f"{self.random.uniform(1e-4, 1e-2):.6f}",
            "scale": f"{self.random.uniform(0, 1):.3f}",
        }
        params |= {"space": "lr0, scale"} if not parent else {}
        with self.db:
            self.db.execute(
                "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, "
                "lifecycle_stage, artifact_uri, experiment_id) "
                "VALUES (?, ?, 'UNKNOWN', 'me', 'FINISHED', ?, ?, 'active', ?, 1)",
                (run_id, name, STARTED_MS, last, (self.artifacts / run_id / "artifacts").as_uri()),
            )
            self.db.executemany(
                "INSERT INTO tags VALUES (?, ?, ?)", [(k, v, run_id) for k, v in tags.items()]
            )
            self.db.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [(k, v, run_id) for k, v in params.items()],
            )
        return run_id

    def figures(self, run_id: str, keys: tuple[str, ...], steps: int, every_ms: int = EPOCH_MS) -> None:
        rows = []
        for key in keys:
            level = self.random.uniform(0.6, 0.9)
            for step in range(1, steps + 1):
                value = level * step / (step + 10) + self.random.gauss(0, 0.004)
                rows.append((key, value, STARTED_MS + step * every_ms, run_id, step, 0))
        with self.db:
            self.db.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            self.db.executemany(
                "INSERT OR REPLACE INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )


def fill(database: Path, epochs: int, trials: int, trial_epochs: int) -> tuple[str, str]:
    """The ids of a long run and of a study."""
    filler = Filler(database)
    long = filler.run("long", epochs)
    filler.figures(long, OF_AN_EPOCH, epochs)
    filler.figures(long, tuple(f"{SERIES}/{key}" for key in OF_THE_MACHINE), epochs * 3, EPOCH_MS // 3)
    study = filler.run("large", 0, kind="study", study="large")
    filler.figures(study, ("best/val/mAP50-95",), 1)
    for number in range(trials):
        pruned = {"pruned": "true"} if number % 3 == 2 else {}
        trial = filler.run(
            f"trial {number}", trial_epochs, study, kind="training", trial=str(number), **pruned
        )
        filler.figures(trial, OF_AN_EPOCH, trial_epochs // 4 if pruned else trial_epochs)
    return long, study


@dataclass(frozen=True)
class Cost:
    """wall_s, cpu_s: of the command's process, its start included. memory_mb: its peak, of 10^6 bytes."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def report(uri: str, run_id: str, folder: Path) -> Cost:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    began = time.perf_counter()
    command = [sys.executable, "-m", "mlops", "report", run_id, "--out", str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the report of {run_id} failed with {os.waitstatus_to_exitcode(status)}")
    wall_s = time.perf_counter() - began
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


@contextmanager
def served(store: str, folder: Path) -> Iterator[str]:
    plan = plan_server(store, "127.0.0.1", 0, folder)
    server = start_server(plan)
    try:
        yield plan.url
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--trial-epochs", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-report-") as place:
        folder = Path(place)
        store = f"sqlite:///{folder / 'mlflow.db'}"
        ensure_store(store)
        long, study = fill(folder / "mlflow.db", given.epochs, given.trials, given.trial_epochs)
        subjects = {
            f"run of {given.epochs} epochs": long,
            f"study of {given.trials} trials x {given.trial_epochs} epochs": study,
        }
        with served(store, folder) as url:
            first = report(url, long, folder / "first")
            print(f"run of {given.epochs} epochs, server just started: {first.wall_s:.1f} s", flush=True)
            for where, uri in (("from a server", url), ("from SQLite", store)):
                for says, run_id in subjects.items():
                    cost = report(uri, run_id, folder / f"out-{run_id}")
                    told = f"{cost.wall_s:.1f} s ({cost.cpu_s:.1f} s of CPU), {cost.memory_mb:.0f} MB"
                    print(f"{says}, {where}: {told}", flush=True)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
