"""Trainings and predictions alone, beside other work and on one processor, each beside a plain peer.

Each cell is the wall time of a whole process, imports included, of ours and of the peer, in turn:

classifier   `ClassificationTrainer.fit`         an eager timm loop (see classifier_training.py)
detector     `DetectionTrainer.fit`, tracked     `YOLO.train` (see detector_training.py)
joint        `JointTrainer.fit`, boxes + class   `YOLO.train` of the same network without the classes
evaluate     `mlops evaluate`: tables, intervals, drawings, log      a loop of onnxruntime that counts hits
predict      `open_onnx`, one image a call       the same calls of onnxruntime

alone: nothing else runs. busy: beside four processes that never wait. two: two of the same at once, until
both have ended. one: in a control group with a quota of one processor (`taskset` where none can be made).
Targets for alone: classifier at most 1/2.0 of the peer's time, detector 0.85; for the others 1/1.0 and 1.1.

    python benchmarks/shared_machine.py [--only classifier ...] [--in alone busy two one] [--rounds 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import classifier_training
import detector_training

from mlops.machine.processors import prepare_environment

CLASSIFIER = classifier_training.Asked(Path("cells"), "none", 2, compile=False, device="cpu")
DETECTOR = argparse.Namespace(epochs=4, image_size=256, device="cpu", deliver=False)
JOINT_EPOCHS, JOINT_SIDE = 4, 160
CALLS = 400
Side = Callable[[Path, Path], None]


# what is measured: each in a process of its own, with the prepared folder and an empty one


def classifier_ours(shared: Path, work: Path) -> None:
    classifier_training.ours(classifier(shared), work)


def classifier_peer(shared: Path, work: Path) -> None:
    classifier_training.peer(classifier(shared), work)


def classifier(shared: Path) -> classifier_training.Asked:
    return replace(CLASSIFIER, data=shared / "cells")


def detector_ours(shared: Path, work: Path) -> None:
    copied(shared / "rail", work)
    detector_training.ours(DETECTOR, work)


def detector_peer(shared: Path, work: Path) -> None:
    copied(shared / "rail", work)
    detector_training.theirs(DETECTOR, work)


def joint_recipe() -> Any:
    from mlops.systems import configure, load_system

    settings = (f"epochs={JOINT_EPOCHS}", f"image_size={JOINT_SIDE}")
    return configure(load_system("joint-detector"), settings, demo=True).recipe


def joint_ours(shared: Path, work: Path) -> None:
    copied(shared / "joint", work)
    from mlops.data import open_dataset
    from mlops.training import trainer_for
    from mlops.training.protocol import TrainConfig, Verdict
    from mlops.training.threads import TrainingThreads

    threads = TrainingThreads()
    recipe = joint_recipe()
    dataset = open_dataset(
        [str(work / "data")], "joint", cache=work / "cache", image_label=recipe.image_label
    )
    config = TrainConfig(recipe, dataset, work / "out", device="cpu", progress=False, cache=work / "cache")
    threads.choose()
    trainer_for("joint").fit(config, threads.after_each_epoch(lambda _report: Verdict.CONTINUE))


def joint_peer(shared: Path, work: Path) -> None:
    copied(shared / "joint", work)
    from mlops.training.detection.ultralytics_library import settle

    settle(work / "cache")
    from ultralytics import YOLO

    recipe = joint_recipe()
    YOLO(f"{recipe.model}.yaml", task="detect").train(
        data=str(work / "data" / "data.yaml"),
        epochs=recipe.epochs,
        imgsz=recipe.image_size,
        batch=recipe.batch,
        nbs=recipe.nbs,
        optimizer=recipe.optimizer,
        lr0=recipe.lr0,
        workers=0,
        device="cpu",
        project=str(work),
    )


def evaluate_ours(shared: Path, work: Path) -> None:
    os.chdir(shared)
    from mlops.cli.main import run

    code = run(["evaluate", "blood-cell-classifier/1", "--again", "--out", str(work / "out")])
    assert code == 0, code


def evaluate_peer(shared: Path, work: Path) -> None:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_in(shared)), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    images, labels = held_out(shared)
    hits = [
        int(np.argmax(session.run(None, {entry.name: prepared(image, entry.shape[2])})[0])) == label
        for image, label in zip(images, labels, strict=True)
    ]
    print(f"accuracy {np.mean(hits):.3f}")


def predict_ours(shared: Path, work: Path) -> None:
    from mlops.prediction.onnx_model import open_onnx

    predictor = open_onnx(onnx_in(shared))
    images, _ = held_out(shared)
    for number in range(CALLS):
        predictor.probabilities([images[number % len(images)]])


def predict_peer(shared: Path, work: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_in(shared)), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    images, _ = held_out(shared)
    for number in range(CALLS):
        session.run(None, {entry.name: prepared(images[number % len(images)], entry.shape[2])})


def onnx_in(shared: Path) -> Path:
    return next((shared / "mlartifacts").rglob("model.onnx"))


def held_out(shared: Path) -> tuple[Any, Any]:
    """The test images (N, H, W, 3) and their labels (N,)."""
    import numpy as np

    with np.load(next((shared / "cells").glob("*.npz"))) as held:
        return held["test_images"], held["test_labels"].ravel()


def prepared(image: Any, side: int) -> Any:
    """(1, 3, side, side) float32 in ImageNet's normalisation, as people write it."""
    import numpy as np
    from PIL import Image

    square = np.asarray(Image.fromarray(image).resize((side, side)), np.float32) / 255
    mean, std = (np.array(each, np.float32) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normal = (square - mean) / std
    return normal.transpose(2, 0, 1)[None]


def copied(data: Path, work: Path) -> None:
    """A copy, so that neither side finds the other's cache of labels."""
    import shutil

    shutil.copytree(data, work / "data")


WORKLOADS: dict[str, tuple[Side, Side]] = {
    "classifier": (classifier_ours, classifier_peer),
    "detector": (detector_ours, detector_peer),
    "joint": (joint_ours, joint_peer),
    "evaluate": (evaluate_ours, evaluate_peer),
    "predict": (predict_ours, predict_peer),
}


# the conditions


@contextmanager
def alone() -> Iterator[None]:
    yield


@contextmanager
def busy() -> Iterator[None]:
    endless = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(endless) for _ in range(4)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@contextmanager
def one() -> Iterator[Callable[[], None]]:
    """To be called in the new process."""
    for top, file, text in (
        (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", "100000"),
        (Path("/sys/fs/cgroup"), "cpu.max", "100000 100000"),
    ):
        group = top / f"mlops-benchmark-{os.getpid()}"
        try:
            group.mkdir()
            (group / file).write_text(text)
        except OSError:
            continue
        try:
            yield partial(join, group)
        finally:
            time.sleep(0.5)
            group.rmdir()
        return
    yield partial(os.sched_setaffinity, 0, {0})


def join(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


CONDITIONS: dict[str, tuple[Callable[[], Any], int]] = {
    "alone": (alone, 1),
    "busy": (busy, 1),
    "two": (alone, 2),
    "one": (one, 1),
}


def measured(name: str, side: int, shared: Path, limit: Callable[[], None] | None, times: int) -> float:
    """Seconds until `times` processes that start together have ended."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        start = time.perf_counter()
        running = []
        for number in range(times):
            work = Path(folder, str(number))
            work.mkdir()
            command = [sys.executable, __file__, "--side", str(side), "--only", name]
            command += ["--folders", str(shared), str(work)]
            running.append(
                subprocess.Popen(
                    command, preexec_fn=limit, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
        for process in running:
            _, err = process.communicate()
            if process.returncode:
                sys.exit(f"{name}: {err[-2000:]}")
        return time.perf_counter() - start


def prepare(shared: Path, names: list[str]) -> None:
    from mlops.data import demo_dataset

    for system, folder in (
        ("blood-cell-classifier", "cells"),
        ("railway-detector", "rail"),
        ("joint-detector", "joint"),
    ):
        demo_dataset(system, shared / folder)
    if {"evaluate", "predict"} & set(names):
        train = ["train", "blood-cell-classifier", "--data", "cells", "--set", "epochs=1", "--set"]
        train += ["weights=none", "--set", "image_size=128", "--set", "freeze_epochs=0"]
        command = [sys.executable, "-m", "mlops", *train]
        subprocess.run(command, cwd=shared, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=tuple(WORKLOADS), default=list(WORKLOADS))
    conditions = tuple(CONDITIONS)
    parser.add_argument("--in", nargs="*", dest="conditions", choices=conditions, default=conditions)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folders", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side is not None:
        if given.side == 0:
            prepare_environment()
        WORKLOADS[given.only[0]][given.side](*given.folders)
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        shared = Path(folder)
        prepare(shared, given.only)
        for condition in given.conditions:
            for name in given.only:
                show(name, condition, shared, given.rounds)


def show(name: str, condition: str, shared: Path, rounds: int) -> None:
    around, times = CONDITIONS[condition]
    pairs = []
    for number in range(rounds):
        seconds = {}
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            with around() as limit:
                seconds[side] = measured(name, side, shared, limit, times)
        pairs.append((seconds[0], seconds[1]))
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(own / other for own, other in pairs)
    print(
        f"{condition:6} {name:11} ours {ours:7.1f} s   peer {peer:7.1f} s   "
        f"{ratio:.2f} of its time, {1 / ratio:.2f} times as fast",
        flush=True,
    )


if __name__ == "__main__":
    main()
