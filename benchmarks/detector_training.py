"""Our detector training beside `YOLO.train` with the same arguments and no tracking. To reach: at most 1.03.

Whole wall time of a process each: imports, reading the data, every epoch, the final evaluation, all files.
Ours also reads and digests the data set, keeps checkpoints that survive a kill, and tracks: params, every
epoch (with a `barrier` each), the machine's figures and all artifacts go into an outbox. With --deliver they
also go on to an MLflow store (SQLite, made before) during the training. Both train on copies of the same demo
data made anew, so that neither finds a cache of labels. In turn, the first of a pair changing. Processors'
time is shown too: it tells more on a machine that others use.

    python benchmarks/detector_training.py [--pairs 5] [--epochs 10] [--image-size 320] [--deliver]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mlops.systems import configure, load_system
from mlops.systems.recipe import DetectionRecipe

SYSTEM, TARGET = "railway-detector", 1.03


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as place:
        folder = Path(place)
        if given.side:
            SIDES[given.side](given, Path(given.folder))
            return
        prepare(folder, given)
        pairs = [measured_pair(folder, given, number) for number in range(given.pairs)]
    print(f"median of {given.pairs} pairs{', delivered too' if given.deliver else ''}")
    wall = show("wall time", [(ours.wall_s, theirs.wall_s) for ours, theirs in pairs])
    show("processors' time", [(ours.cpu_s, theirs.cpu_s) for ours, theirs in pairs])
    print(f"to reach: wall time <= {TARGET} of YOLO.train's: {'yes' if wall <= TARGET else 'NO'}")


def show(what: str, pairs: list[tuple[float, float]]) -> float:
    """Print both medians, and the median of the pairs' ratios, which is given back."""
    own, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"{what:<18} mlops {own:7.1f} s   YOLO.train {peer:7.1f} s   ratio {ratio:.3f}")
    return ratio


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--deliver", action="store_true")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(folder: Path, given: argparse.Namespace) -> None:
    from mlops.data import demo_dataset
    from mlops.tracking import ensure_store

    demo_dataset(SYSTEM, folder / "data")
    if given.deliver:
        ensure_store(store_in(folder))


def measured_pair(folder: Path, given: argparse.Namespace, number: int) -> tuple[Spent, Spent]:
    """What ours and theirs spent, in fresh folders."""
    spent = {}
    for side in tuple(SIDES) if number % 2 else tuple(SIDES)[::-1]:
        work = folder / f"{side}-{number}"
        shutil.copytree(folder / "data", work / "data")
        spent[side] = spent_by(side, work, given)
        shutil.rmtree(work)
    ours, theirs = spent["ours"], spent["theirs"]
    print(f"pair {number + 1}: mlops {ours.wall_s:.1f} s, YOLO.train {theirs.wall_s:.1f} s", flush=True)
    return ours, theirs


@dataclass(frozen=True, slots=True)
class Spent:
    wall_s: float
    cpu_s: float


def spent_by(side: str, work: Path, given: argparse.Namespace) -> Spent:
    command = [sys.executable, __file__, "--side", side, "--folder", str(work), "--device", given.device]
    command += ["--epochs", str(given.epochs), "--image-size", str(given.image_size)]
    command += ["--deliver"] if given.deliver else []
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    return Spent(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def recipe(given: argparse.Namespace) -> DetectionRecipe:
    settings = (f"epochs={given.epochs}", f"image_size={given.image_size}")
    found = configure(load_system(SYSTEM), settings, demo=True).recipe
    assert isinstance(found, DetectionRecipe)
    return found


def store_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def ours(given: argparse.Namespace, work: Path) -> None:
    from mlops.data import open_dataset
    from mlops.machine.processors import prepare_environment
    from mlops.tracking import Tracker
    from mlops.tracking.system_metrics import SystemMetricsRecorder
    from mlops.training import trainer_for
    from mlops.training.protocol import EpochReport, TrainConfig, Verdict
    from mlops.training.threads import TrainingThreads

    prepare_environment()
    threads = TrainingThreads()
    dataset = open_dataset([str(work / "data")], "detection", cache=work / "cache")
    chosen = recipe(given)
    with Tracker(work / "home", store_in(work.parent), deliver=given.deliver) as tracker:
        run = tracker.start_run(work.name, experiment="bench", name=work.name)
        run.log_params(chosen.model_dump())

        def on_epoch(report: EpochReport) -> Verdict:
            run.log_epoch(report.epoch, report.metrics)
            run.barrier()
            return Verdict.CONTINUE

        config = TrainConfig(
            chosen, dataset, work / "out", device=given.device, progress=False, cache=work / "cache"
        )
        with SystemMetricsRecorder(run):
            threads.choose()
            result = trainer_for("detection").fit(config, threads.after_each_epoch(on_epoch))
        for path, folder in result.artifacts.items():
            run.log_artifact(path, folder)
        run.finish("FINISHED")


def theirs(given: argparse.Namespace, work: Path) -> None:
    from mlops.training.detection.arguments import training_arguments
    from mlops.training.detection.ultralytics_library import settle

    settle(work / "cache")  # offline, with a font, and with settings of its own
    from ultralytics import YOLO, settings

    settings.update(dict.fromkeys(("mlflow", "wandb", "comet", "tensorboard"), False))
    chosen = training_arguments(
        recipe(given),
        model="yolo11n.yaml",
        data=work / "data" / "data.yaml",
        folder=work / "out",
        device=given.device,
        seed=0,
        workers=0,
        cache=False,
    )
    chosen.pop("mode")
    YOLO(str(chosen.pop("model")), task="detect").train(**chosen)


SIDES = {"ours": ours, "theirs": theirs}


if __name__ == "__main__":
    main()
